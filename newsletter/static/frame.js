// Runs in the page that /embed/SLUG shows inside somebody's iframe: tells the page around it how tall we are,
// and that somebody has signed up or confirmed. It speaks only; nothing said to it is heard.
// And it leads back to the field that was refused, as browsers leave `autofocus` undone in a frame.

if (window.parent !== window) {
  const target = hostOrigin();
  const tell = (message) => window.parent.postMessage(message, target);
  const root = document.documentElement;
  // The box of the document, not its scrollHeight: that never falls below the frame's own height.
  const tellHeight = () => tell({ newsletter: "height", height: Math.ceil(root.getBoundingClientRect().height) });

  // At once, too: of a frame that is out of sight browsers observe nothing until somebody scrolls to it.
  tellHeight();
  new ResizeObserver(tellHeight).observe(root);
  // The script of the page around us may come later than we do. It then moves our frame by a pixel to ask.
  addEventListener("resize", tellHeight);

  document.querySelector("[aria-invalid=true]")?.focus();

  const what = document.querySelector("main[data-newsletter]")?.dataset.newsletter;
  if (what === "subscribed" || what === "confirmed") tell({ newsletter: what });
}

/** The origin of the page around us. After our form was sent the referrer is ourselves and says nothing of it;
 * then, as where there is none, anyone may know our height. */
function hostOrigin() {
  const around = window.location.ancestorOrigins?.[0];
  if (around && around !== "null") return around;
  if (!document.referrer) return "*";
  const { origin } = new URL(document.referrer);
  return origin === window.location.origin || origin === "null" ? "*" : origin;
}
