// Buttons that play sounds to their end; they tell when all have been heard, and how often they were started.

import { element, tell } from "./dom.js";

export class Players {
  constructor(addresses, labels, texts, heard) {
    this.plays = 0;
    this.heard = new Set();
    this.current = null;
    this.texts = texts;
    this.whenHeard = heard;
    this.sounds = addresses.map((address) => element("audio", { src: address, preload: "auto" }));
    this.buttons = this.sounds.map((sound, index) => this.button(sound, index, labels[index]));
    // On the page, so that a sound ends with its page, whatever ends that.
    this.element = element("div", { class: "players" }, ...this.buttons, ...this.sounds);
  }

  button(sound, index, label) {
    const name = (text) => (label ? `${label}: ${text}` : text);
    const button = element("button", { type: "button", class: "player", onclick: () => this.play(index) }, name(this.texts.play));
    sound.addEventListener("ended", () => {
      this.rest(button, name(this.texts.play_again));
      this.heard.add(index);
      if (this.heard.size === this.sounds.length) this.whenHeard();
    });
    // A call, a key of the keyboard or headphones that are pulled out may pause it.
    sound.addEventListener("pause", () => { if (!sound.ended) this.rest(button, name(this.texts.play)); });
    button.named = name;
    return button;
  }

  async play(index) {
    if (this.current !== null) return;
    const button = this.buttons[index];
    this.current = index;
    for (const other of this.buttons) other.setAttribute("aria-disabled", "true");
    button.classList.add("playing");
    button.textContent = button.named(this.texts.playing);
    tell("alert", "");
    try {
      this.sounds[index].currentTime = 0;
      await this.sounds[index].play();
      this.plays += 1;
    } catch (error) {
      this.rest(button, button.named(this.texts.play));
      if (error.name !== "AbortError") tell("alert", this.texts.no_sound); // else it was paused
    }
  }

  rest(button, text) {
    this.current = null;
    for (const other of this.buttons) other.removeAttribute("aria-disabled");
    button.classList.remove("playing");
    button.textContent = text;
  }
}
