// The element <newsletter-signup>, whose children, a plain form, stay until the service tells what to draw;
// and a listener that fits our iframes to their content.

const HOME = new URL(import.meta.url).origin;
const HALF_A_DAY = 12 * 60 * 60 * 1000; // a form token lives for a day
const PATIENCE = 30_000; // milliseconds
const MOST_CHALLENGES = 3;

// Adopted: a host's policy may forbid inline styles. Colours derive from the host's text colour, so that
// the form is legible on a light page, a dark one, and a dark band of a light one.
const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
:host { display: block }
:host([hidden]) { display: none }
* { box-sizing: border-box; margin: 0 }
[part=box] { all: initial; display: block; visibility: inherit; color-scheme: inherit; font: inherit; line-height: 1.45; color: var(--newsletter-ink, inherit); --fill: #1c4f9c; --on: #fff; --edge: currentcolor; --bad: #b3123c }
form, [part=message] { display: grid; grid-template-columns: minmax(0, 1fr); gap: var(--newsletter-gap, .75em); overflow-wrap: break-word }
#invitation, h2 { font-size: 1.25em; font-weight: 700; line-height: 1.25 }
label { display: block; margin-block-end: .35em; font-size: .9375em; font-weight: 600 }
label span { font-weight: 400 }
[part=row] { display: flex; flex-wrap: wrap; gap: .5em }
input, button { min-block-size: 44px; padding: .55em .8em; border: 1px solid var(--newsletter-edge, var(--edge)); border-radius: var(--newsletter-radius, .375em); font: inherit; font-size: max(16px, 1em); line-height: 1.25; color: inherit }
input { flex: 999 1 14em; min-inline-size: 0; background: var(--newsletter-field, transparent); color: var(--newsletter-field-ink, inherit); text-align: match-parent }
::placeholder { color: inherit; opacity: .85 }
button { flex: 1 0 auto; justify-self: start; max-inline-size: 100%; padding-inline: 1.4em; border-color: transparent; background: var(--newsletter-accent, var(--fill)); font-weight: 700; cursor: pointer }
button span { color: var(--newsletter-on-accent, var(--on)) }
button:hover, [part=again] { text-decoration: underline }
[part=again] { padding-inline: 0; border: 0; background: none; font-weight: 400 }
[aria-disabled] { cursor: progress }
[part=error] { color: var(--newsletter-error, var(--bad)); font-size: .9375em; font-weight: 600 }
label + [part=error] { margin-block-end: .35em }
p:empty { position: absolute }
[aria-invalid=true] { border: 2px solid var(--newsletter-error, var(--bad)) }
#fine-print { font-size: .875em }
bdi { font-weight: 600; overflow-wrap: anywhere }
.trap { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%) }
:focus-visible { outline: 2px solid #000; outline-offset: 2px; box-shadow: 0 0 0 2px #fff }
h2:focus { outline: none; box-shadow: none }
@supports (color: color(from currentcolor xyz y y y)) {
  /* On the accent black or white, whichever reads better: they change places at a luminance of .18. */
  [part=box] { --fill: currentcolor; --lit: clamp(0, (.18 - y) * 9999, 1); --on: color(from var(--newsletter-accent, currentcolor) xyz calc(.95 * var(--lit)) var(--lit) calc(1.09 * var(--lit))) }
  [part=box] { --edge: color-mix(in srgb, currentcolor 80%, transparent); --bad: color-mix(in oklab, currentcolor 45%, #e0103c) }
}`);

class NewsletterSignup extends HTMLElement {
  static observedAttributes =
    ["list", "service", "locale", "code", "ask-name", "invitation", "email-label", "button", "fine-print", "placeholder"];

  #stale = true; // not drawn as the attributes ask
  #turn = 0; // the last load counts
  #told; // the answer to GET /lists/SLUG/form
  #since; // when it came
  #box;
  #busy; // the form that is on its way

  connectedCallback() {
    this.#renew();
  }

  attributeChangedCallback(name, before, after) {
    this.#stale ||= before !== after;
    this.#renew();
  }

  #renew() {
    // "Check your inbox" stays until somebody wants the form again, or that of another list.
    const keeps = this.#box?.querySelector("[part=message]") && this.#told.list === this.getAttribute("list");
    if (this.#stale && this.isConnected && !keeps && !this.#busy) this.#refresh();
  }

  async #refresh() {
    const turn = ++this.#turn;
    await null; // several attributes set in a row: one request
    if (turn !== this.#turn) return;
    try {
      const told = await this.#ask();
      if (turn !== this.#turn || this.#busy) return;
      this.#told = told;
      this.#draw();
      this.#stale = false;
    } catch ({ status = 0, message }) {
      if (turn !== this.#turn || this.#busy) return;
      this.#box?.replaceChildren(make("slot", {})); // back to what the page itself brought
      tell(this, "error", { status, message });
    }
  }

  async #ask() {
    const list = encodeURIComponent(this.getAttribute("list") ?? "");
    const url = new URL(`/lists/${list}/form`, this.getAttribute("service") ?? HOME);
    if (this.hasAttribute("locale")) url.searchParams.set("locale", this.getAttribute("locale"));
    const answer = await fetch(url, { credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw { status: answer.status, message: `No form for the list ${list}` };
    this.#since = Date.now();
    return answer.json();
  }

  #draw() {
    const { texts, action, token, locale, direction } = this.#told;
    const before = this.#box?.querySelector("form") ? this.#box : this;
    const typed = [...before.querySelectorAll("[name=email], [name=name]")];
    const typing = before.querySelector("form:focus-within");

    const text = (name) => this.getAttribute(name) ?? texts[name.replace("-", "_")];
    const button = submitButton(text("button"));
    const askName = this.hasAttribute("ask-name");
    const form = this.#form(action, () => this.#checkInbox(form),
      this.#slot("invitation", text("invitation")),
      field("email", [text("email-label")], {
        type: "email", autocomplete: "email", dir: "ltr", required: "",
        placeholder: text("placeholder") ?? "",
      }, askName ? "" : button),
      ...(askName ? [field("name", [texts.name_label, " ", make("span", {}, texts.optional)],
        { autocomplete: "name", dir: "auto" }), button] : []),
      ...notices(),
      this.#slot("fine-print", text("fine-print")),
      ...hidden({ token, locale, way: "element" }),
      make("label", { class: "trap", "aria-hidden": true }, texts.leave_empty,
        make("input", { name: "leave_empty", tabindex: -1, autocomplete: "off" })),
    );
    form.setAttribute("aria-labelledby", "invitation");

    if (!this.#box) {
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [SHEET];
      root.append((this.#box = make("div", { part: "box" })));
    }
    this.#box.lang = locale;
    this.#box.dir = direction;
    this.#box.replaceChildren(form);
    // What somebody has begun to type stays, with the cursor at its end.
    if (typing) form.elements.email.focus();
    for (const { name, value } of typed) if (form.elements[name]) form.elements[name].value = value;
  }

  // The host's markup, or the text; nothing where the host gave an empty text.
  #slot(name, text) {
    if (!text && !this.querySelector(`:scope > [slot=${name}]`)) return "";
    return make("div", { part: name, id: name, dir: "auto" }, make("slot", { name }, text));
  }

  #checkInbox(form) {
    const { texts, list, code_url } = this.#told;
    const address = form.elements.email.value.trim();
    const [before, after = ""] = texts.check_text.split("{address}");
    const again = make("button", { type: "button", part: "again" }, texts.again);
    again.onclick = () => {
      this.#box.replaceChildren(form);
      form.elements.email.focus();
      form.elements.email.select();
      this.#renew();
    };
    const confirmed = () => {
      this.#say(texts.confirmed_title, make("p", { part: "message-text" }, texts.confirmed_text));
      tell(this, "confirmed", { list });
    };
    const code = () => this.#form(code_url, confirmed,
      field("code", [texts.code_label], {
        inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9]{6}", dir: "ltr", required: "",
      }, submitButton(texts.code_button)),
      ...notices(),
      ...hidden({ email: address }),
    );
    // Hidden for whoever has no script.
    for (const own of this.querySelectorAll(":scope > [slot=success]")) own.hidden = false;
    this.#say(texts.check_title,
      make("slot", { name: "success" }, make("p", { part: "message-text" }, before, make("bdi", {}, address), after)),
      this.hasAttribute("code") ? code() : "",
      again);
    tell(this, "subscribed", { list });
  }

  // The form is gone, and the focus would be with it.
  #say(title, ...rest) {
    const heading = make("h2", { part: "message-title", tabindex: -1 }, title);
    this.#box.replaceChildren(make("div", { part: "message" }, heading, ...rest));
    heading.focus();
  }

  #form(action, done, ...children) {
    const form = make("form", { part: "form", method: "post", action, novalidate: "" }, ...children);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#busy !== form) this.#submit(form, done);
    });
    return form;
  }

  async #submit(form, done) {
    const { texts } = this.#told;
    const button = form.querySelector("[part=button]");
    const words = button.textContent;
    const status = form.querySelector("[role=status]");
    this.#busy = form;
    button.firstChild.textContent = texts.sending;
    button.setAttribute("aria-disabled", true); // `disabled` would lose the focus
    complain(form, {});
    try {
      const { token } = form.elements;
      if (token && Date.now() - this.#since > HALF_A_DAY) {
        // Where there is no new one the old one is taken too, after a closer look.
        await this.#ask().then((told) => (token.value = told.token), () => {});
      }
      const problem = await send(form, () => (status.textContent = texts.working));
      if (!problem) return done();
      complain(form, problem.errors ?? {}, problem.detail ?? texts.failed);
      // Its title only: other members may repeat the address.
      tell(this, "error", { status: problem.status, message: problem.title ?? texts.failed });
    } catch {
      complain(form, {}, texts.failed);
      tell(this, "error", { status: 0, message: texts.failed });
    } finally {
      if (this.#busy === form) this.#busy = null;
      button.firstChild.textContent = words;
      button.removeAttribute("aria-disabled");
      status.textContent = "";
      this.#renew();
    }
  }
}

/** Send a form, solving what is asked on the way. Gives the problem, if any; throws when there is no answer. */
async function send(form, working) {
  const body = new URLSearchParams(new FormData(form));
  if (body.has("code")) body.set("code", body.get("code").replace(/\s/g, ""));
  for (let solved = 0; ; solved++) {
    const answer = await fetch(form.action, {
      method: "POST", body, headers: { Accept: "application/json" }, credentials: "omit", signal: AbortSignal.timeout(PATIENCE),
    });
    const told = await answer.json().catch(() => ({}));
    if (answer.ok && told.status) return null;
    const problem = { ...told, status: answer.status };
    if (problem.status !== 429 || !told.challenge || solved === MOST_CHALLENGES) return problem;
    working();
    try {
      body.set("altcha", await solve(told.challenge));
    } catch {
      form.submit(); // no https, no crypto: the service's own page has another way
      return problem;
    }
  }
}

/** Solve an ALTCHA v2 challenge. Gives the value of the field `altcha`; throws where the browser cannot. */
export async function solve(challenge) {
  const { algorithm, nonce, salt, cost, keyLength, keyPrefix } = challenge.parameters;
  const [name, hash] = algorithm.split("/");
  const began = Date.now();
  const derive = async (counter) => {
    const password = bytes(nonce + counter.toString(16).padStart(8, "0"));
    const key = await crypto.subtle.importKey("raw", password, name, false, ["deriveBits"]);
    const bits = await crypto.subtle.deriveBits({ name, hash, salt: bytes(salt), iterations: cost }, key, keyLength * 8);
    return Array.from(new Uint8Array(bits), (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const atOnce = 8;
  for (let counter = 0; counter < 1e6; counter += atOnce) {
    const keys = await Promise.all(Array.from({ length: atOnce }, (_, i) => derive(counter + i)));
    const hit = keys.findIndex((key) => key.startsWith(keyPrefix));
    if (hit < 0) continue;
    const solution = { counter: counter + hit, derivedKey: keys[hit], time: Date.now() - began };
    return btoa(JSON.stringify({ challenge, solution }));
  }
  throw new Error("no solution");
}

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));

// Never from a string: a host may demand Trusted Types.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const field = (name, label, attributes, button = "") =>
  make("div", { part: "field" },
    make("label", { part: "label", for: name }, ...label),
    make("p", { part: "error", id: `${name}-error` }),
    make("div", { part: "row" },
      make("input", { part: "input", id: name, name, "aria-describedby": `${name}-error`, ...attributes }), button));

// The words have a colour of their own: the background takes the button's, which is the host's.
const submitButton = (words) => make("button", { part: "button" }, make("span", { part: "button-text" }, words));

// There before their text, or it might not be read out.
const notices = () =>
  [make("p", { part: "error", role: "alert" }), make("p", { part: "status", role: "status" })];

const hidden = (values) => Object.entries(values).map(([name, value]) => make("input", { type: "hidden", name, value }));

// Each message beside its field, the focus to the first; where none is, the alert speaks.
function complain(form, errors, otherwise = "") {
  const wrong = [...form.querySelectorAll("[part=input]")].filter((input) => {
    const message = errors[input.name] ?? "";
    input.setAttribute("aria-invalid", message !== "");
    input.parentNode.previousSibling.textContent = message;
    return message;
  });
  wrong[0]?.focus();
  form.querySelector("[role=alert]").textContent = wrong[0] ? "" : otherwise;
}

function tell(target, type, detail) {
  target.dispatchEvent(new CustomEvent(type, { bubbles: type !== "error", composed: true, detail }));
}

const frames = () => [...document.querySelectorAll("iframe")].filter(({ src }) => src.startsWith(`${HOME}/embed/`));

// Only iframes of ours are heard.
function hear({ origin, source, data }) {
  const frame = origin === HOME && frames().find(({ contentWindow }) => contentWindow === source);
  if (!frame) return;
  const { newsletter: what, height } = Object(data);
  if (what === "height" && Number.isFinite(height)) {
    frame.setAttribute("height", Math.round(Math.min(Math.max(height, 60), 4000)));
  } else if (what === "subscribed" || what === "confirmed") {
    tell(frame, what, { list: new URL(frame.src).pathname.split("/")[2] });
  }
}

// One listener, from however many addresses.
const HERE = Symbol.for(`newsletter-signup ${HOME}`);
if (!window[HERE]) {
  window[HERE] = true;
  addEventListener("message", hear);
  // One that was faster told nobody its height: a pixel more, and it says it again.
  for (const frame of frames()) frame.setAttribute("height", (parseInt(frame.getAttribute("height")) || 150) + 1);
}
customElements.get("newsletter-signup") ?? customElements.define("newsletter-signup", NewsletterSignup);
