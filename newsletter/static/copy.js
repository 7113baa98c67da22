// Copy buttons: <button data-copy="ID" data-done="Copied">Copy</button> copies the text of #ID.
// Without a clipboard (a page without https) the text is selected instead, ready for the keyboard;
// `data-selected`, where given, says so.

const SHOWN_FOR = 2000; // milliseconds

const voice = document.createElement("div");
voice.className = "visually-hidden";
voice.setAttribute("aria-live", "polite");

const buttons = document.querySelectorAll("button[data-copy]");
if (buttons.length) document.body.append(voice);
for (const button of buttons) {
  const label = button.textContent;
  let timer;
  button.addEventListener("click", async () => {
    const said = await copy(document.getElementById(button.dataset.copy), button.dataset);
    if (!said) return;
    button.textContent = voice.textContent = said;
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.textContent = label;
      voice.textContent = "";
    }, SHOWN_FOR);
  });
}

/** Copy, or at least select. Gives the words that say what was done. */
async function copy(source, { done, selected }) {
  if (!source) return undefined;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    return done;
  } catch {
    if (source.select) source.select();
    else window.getSelection().selectAllChildren(source);
    return selected;
  }
}
