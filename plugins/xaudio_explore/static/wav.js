// Sounds as numbers, and as WAV files of 32-bit floats.

/** A WAV file of channels, each a Float32Array. */
export function encoded(channels, rate) {
  const count = channels[0].length;
  const bytes = count * channels.length * 4;
  const view = new DataView(new ArrayBuffer(44 + bytes));
  const text = (place, word) => [...word].forEach((letter, index) => view.setUint8(place + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 3, true); // floats
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels.length * 4, true);
  view.setUint16(32, channels.length * 4, true);
  view.setUint16(34, 32, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  for (let k = 0, place = 44; k < count; k += 1) {
    for (const channel of channels) {
      view.setFloat32(place, channel[k], true);
      place += 4;
    }
  }
  return view.buffer;
}

const LEAST_RATE = 8000; // Hz that any browser decodes to

/** What the browser makes of a sound file, as an AudioBuffer at a rate. */
export function decoded(bytes, rate) {
  return new OfflineAudioContext(1, 1, Math.max(LEAST_RATE, rate)).decodeAudioData(bytes);
}

const FRAME = 0.01; // seconds
const GAP = 0.25; // seconds of quiet within a word
const MARGIN = 0.08; // seconds left around a word
const ABOVE = 12; // dB of a word above the noise
const BELOW = 35; // dB below its loudest frame where a word ends

/** Start and end, in seconds, of the loudest word of a recording. */
export function wordIn(samples, rate) {
  const size = Math.max(1, Math.round(FRAME * rate));
  const levels = Array.from({ length: Math.floor(samples.length / size) }, (_, frame) => {
    let power = 1e-12;
    for (let k = frame * size; k < (frame + 1) * size; k += 1) power += samples[k] ** 2 / size;
    return 10 * Math.log10(power);
  });
  if (levels.length < 3) return [0, samples.length / rate];
  const loudest = levels.indexOf(Math.max(...levels));
  const noise = [...levels].sort((one, other) => one - other)[Math.floor(levels.length / 10)];
  const threshold = Math.min(levels[loudest] - 3, Math.max(noise + ABOVE, levels[loudest] - BELOW));
  const reach = (step) => {
    let last = loudest;
    for (let frame = loudest; frame >= 0 && frame < levels.length && Math.abs(frame - last) * FRAME <= GAP; frame += step) {
      if (levels[frame] >= threshold) last = frame;
    }
    return last;
  };
  const length = samples.length / rate;
  return [Math.max(0, (reach(-1) * size) / rate - MARGIN), Math.min(length, ((reach(1) + 1) * size) / rate + MARGIN)];
}

/** The loudest stretch of so many seconds. */
export function loudest(samples, rate, seconds) {
  const size = Math.floor(seconds * rate);
  const step = Math.max(1, Math.round(FRAME * rate));
  let power = 0;
  for (let k = 0; k < size; k += 1) power += samples[k] ** 2;
  let best = [power, 0];
  for (let start = step; start + size <= samples.length; start += step) {
    for (let k = start - step; k < start; k += 1) power += samples[k + size] ** 2 - samples[k] ** 2;
    if (power > best[0]) best = [power, start];
  }
  return [best[1] / rate, (best[1] + size) / rate];
}
