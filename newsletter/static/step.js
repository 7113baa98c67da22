// The "one more step" page: where the browser can solve the challenge, nobody has to press anything.
// Where it cannot, the page stays as it is, with its button.

import { solve } from "/embed.js";

const form = document.querySelector("form[data-challenge]");
if (form) takeStep(form);

async function takeStep(form) {
  const working = document.querySelector("[data-working]");
  const show = (shown) => working && (working.hidden = !shown);
  show(true);
  try {
    form.elements.altcha.value = await solve(JSON.parse(form.dataset.challenge));
    form.submit();
  } catch {
    show(false);
  }
}
