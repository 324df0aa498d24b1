
// The strip of a long recording: made wider by buttons, about what is in the middle; its texts keep their shape.

function overviewOf(section) {
  const frame = section.querySelector(".overview-scroll");
  const strip = frame.querySelector("svg");
  const texts = [...strip.querySelectorAll("text")].map((text) => ({ text, x: text.getAttribute("x"), y: text.getAttribute("y") }));
  const { width, height } = strip.viewBox.baseVal;
  let zoom = 1;

  function show() {
    const middle = (frame.scrollLeft + frame.clientWidth / 2) / frame.scrollWidth;
    strip.style.width = `${100 * zoom}%`;
    const flat = (strip.clientHeight / height) / (strip.clientWidth / width);
    for (const { text, x, y } of texts) {
      text.setAttribute("x", 0);
      text.setAttribute("y", 0);
      text.setAttribute("transform", `translate(${x} ${y}) scale(${flat} 1)`);
    }
    frame.scrollLeft = middle * frame.scrollWidth - frame.clientWidth / 2;
  }

  strip.setAttribute("preserveAspectRatio", "none");
  strip.style.height = `${strip.clientHeight}px`;
  const bar = section.querySelector(".overview-zoom");
  bar.hidden = false;
  for (const button of bar.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      zoom = button.value === "1" ? 1 : Math.min(64, Math.max(1, zoom * Number(button.value)));
      show();
    });
  }
  addEventListener("resize", show);
  show();
}

for (const section of document.querySelectorAll(".overview")) overviewOf(section);
