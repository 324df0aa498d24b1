
// The table of several explanations: sorted, filtered, searched, played by keys; rows lead to their players.

class Listing {
  constructor(section) {
    this.section = section;
    this.body = section.querySelector("tbody");
    this.rows = [...this.body.rows];
    const worded = (row) => [...row.cells].filter((cell) => cell.className !== "listing-sounds").map((cell) => cell.textContent);
    this.texts = new Map(this.rows.map((row) => [row, worded(row).join(" ").toLowerCase()]));
    this.tools = ["search", "correct", "predicted", "warned"].map((name) => section.querySelector(`.listing-${name}:is(input, select)`));
    section.classList.add("listing-live");
    for (const part of section.querySelectorAll(".listing-tools, .listing-keys")) part.hidden = false;
    for (const heading of section.querySelectorAll("th[data-name]")) this.sortable(heading);
    for (const part of section.querySelectorAll(".listing-part")) this.playable(part);
    for (const tool of this.tools) tool?.addEventListener("input", () => this.filter());
    section.addEventListener("keydown", (event) => this.press(event));
    section.addEventListener("click", (event) => this.open(event));
    this.filter();
  }

  sortable(heading) {
    heading.replaceChildren(make("button", { type: "button", click: () => this.sort(heading) }, heading.textContent));
  }

  /** Sort by a column, the other way round the second time; rows that say nothing come last. */
  sort(heading) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const valueOf = (row) => row.cells[heading.cellIndex].dataset.value ?? row.cells[heading.cellIndex].textContent;
    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    const numeric = /^(confidence|share_|correct)/.test(heading.dataset.name);
    const order = (one, other) => (numeric ? one - other : compare(one, other)) * (down ? -1 : 1);
    const values = new Map(this.rows.map((row) => [row, valueOf(row)]));
    this.rows.sort((one, other) => {
      const [a, b] = [values.get(one), values.get(other)];
      return !a || !b ? !a - !b : order(a, b);
    });
    this.body.append(...this.rows);
  }

  filter() {
    const [words, correct, predicted, warned] = this.tools;
    const sought = (words?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.rows) {
      const kept = sought.every((word) => this.texts.get(row).includes(word))
        && (!correct?.value || row.dataset.correct === correct.value)
        && (!predicted?.value || row.dataset.predicted === predicted.value)
        && (!warned?.checked || "warned" in row.dataset);
      row.hidden = !kept;
    }
    this.section.querySelector(".listing-count").textContent = `${this.shown.length} of ${this.rows.length} shown`;
  }

  get shown() {
    return this.rows.filter((row) => !row.hidden);
  }

  /** A button for a sound, whose element is made when it is first heard: thousands of them would slow the page. */
  playable(part) {
    const plain = part.nextElementSibling; // what is there without scripts: its content is text here
    const markup = plain.textContent;
    const sound = { audio: null };
    const attributes = { type: "button", "aria-pressed": "false", "aria-label": `Play ${part.dataset.label}`, click: () => this.play(sound) };
    sound.button = make("button", attributes, part.textContent);
    sound.button.sound = sound;
    sound.make = () => this.audioOf(markup, sound.button);
    plain.replaceWith(sound.button);
  }

  audioOf(markup, press) {
    const template = document.createElement("template");
    template.innerHTML = markup; // of the page's own template, which escapes all names
    const audio = template.content.firstElementChild;
    audio.controls = false;
    audio.addEventListener("ended", () => this.stop());
    press.after(audio);
    return audio;
  }

  play(sound) {
    const same = this.playing === sound;
    this.stop();
    if (same) return;
    for (const player of everyone()) if (player.deck?.playing) player.toggle();
    this.playing = sound;
    sound.audio ??= sound.make();
    sound.audio.currentTime = 0;
    sound.audio.play().catch(() => this.stop());
    sound.button.setAttribute("aria-pressed", "true");
  }

  stop() {
    this.playing?.audio.pause();
    this.playing?.button.setAttribute("aria-pressed", "false");
    this.playing = null;
  }

  /** A row's link shows its explanation in the player of the recording. */
  async open(event) {
    const link = event.target.closest("a[data-choice]");
    const player = link && document.getElementById(link.hash.slice(1))?.closest("xaudio-player");
    if (!player) return;
    this.stop();
    await player.ready();
    await player.choose(Number(link.dataset.choice));
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, audio")) return;
    const shown = this.shown;
    const row = event.target.closest("tbody tr");
    const place = shown.indexOf(row);
    const step = { ArrowDown: place + 1, ArrowUp: Math.max(0, place - 1), Home: 0, End: shown.length - 1 }[event.key];
    const part = { " ": 0, f: 1 }[event.key];
    if (step !== undefined) {
      const to = shown[Math.min(step, shown.length - 1)];
      (to?.querySelector("th a") ?? to?.querySelector("button"))?.focus();
    } else if (part === undefined || !row || event.target.matches("button")) {
      return;
    } else {
      const sound = row.querySelectorAll(".listing-sounds button")[part]?.sound;
      if (sound) this.play(sound);
    }
    event.preventDefault();
  }
}

for (const section of document.querySelectorAll(".listing")) {
  const table = new Listing(section);
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    table.tools[0].focus();
  });
}
