// The console works without this. With it, a region that waits for something shows it when it has come:
// <div id="…" data-refresh="2"> is fetched anew every so many seconds while it carries that attribute, and a form
// with data-live sends itself a moment after somebody stopped typing. A file that is larger than its form takes
// (data-largest, in bytes) is not sent: data-too-large says why, with its megabytes instead of {size}.

for (const region of document.querySelectorAll("[data-refresh]")) refresh(region);

function refresh(region) {
  setTimeout(async () => {
    const fresh = await part(location.href, region.id).catch(() => null);
    if (fresh) region.replaceWith(fresh);
    const next = fresh ?? region;
    if (next.dataset.refresh) refresh(next);
  }, region.dataset.refresh * 1000);
}

for (const form of document.querySelectorAll("form[data-live]")) {
  let timer;
  let turn = 0;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++turn;
      const address = new URL(form.action || location.href);
      address.search = new URLSearchParams(new FormData(form));
      const fresh = await part(address, form.dataset.live).catch(() => null);
      if (!fresh || mine !== turn) return;
      document.getElementById(form.dataset.live).replaceWith(fresh);
      history.replaceState(null, "", address);
    }, 250);
  });
}

for (const form of document.querySelectorAll("form[data-largest]")) {
  form.addEventListener("submit", (event) => {
    form.parentElement.querySelector("[role=alert]")?.remove();
    const { size } = form.querySelector("[type=file]").files[0] ?? { size: 0 };
    if (size <= form.dataset.largest) return;
    event.preventDefault();
    const note = document.createElement("p");
    note.className = "note bad";
    note.setAttribute("role", "alert");
    note.textContent = form.dataset.tooLarge.replace("{size}", Math.ceil((size * 10) / 2 ** 20) / 10);
    form.before(note);
  });
}

/** The element with this id, on a page of ours as it is now. */
async function part(address, id) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.getElementById(id);
}
