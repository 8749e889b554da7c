// Seeded noise: the same seed gives the same numbers in every browser.

/** A stream of noise (the generator sfc32, started from one integer). */
export class Noise {
  constructor(seed) {
    this.state = Uint32Array.of(seed, 0x9e3779b9, 0x243f6a88, 1);
    for (let i = 0; i < 15; i += 1) this.bits();
  }

  /** The next 32 bits. */
  bits() {
    const s = this.state;
    const sum = (s[0] + s[1] + s[3]) >>> 0;
    s[3] += 1;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = s[2] + (s[2] << 3);
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + sum;
    return sum;
  }

  /** Independent uniform numbers on [0, 1), as float32 has them: 24 bits, never rounded up to 1. */
  uniform(count) {
    return Float32Array.from({ length: count }, () => (this.bits() >>> 8) / 2 ** 24);
  }

  /** Independent standard normals (Box and Muller). */
  normal(count) {
    return Float32Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - this.bits() / 2 ** 32));
      return radius * Math.cos((2 * Math.PI * this.bits()) / 2 ** 32);
    });
  }
}
