// Small helpers for elements.

export const $ = (selector) => document.querySelector(selector);

/** An element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A canvas for one image. */
export const tile = () => element("canvas", { class: "tile" });

/** Call an async function again and again, never twice at once; calls in between become one. */
export function coalesced(work) {
  let running = null;
  let wanted = false;
  return function call() {
    wanted = true;
    running ??= (async () => {
      try {
        while (wanted) {
          wanted = false;
          await work();
        }
      } finally {
        running = null;
      }
    })();
    return running;
  };
}

/** Call once, when an element comes near the screen. */
export function whenNear(target, work) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      work();
    },
    { rootMargin: "200px" },
  );
  observer.observe(target);
}
