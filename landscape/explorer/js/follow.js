// A camera on its way to where it is wanted: damped, the tilt between map and terrain in its own time.

import { wrapped } from './camera.js';
import { reducedMotion } from './dom.js';

const TILT_MS = 600;
const FOLLOW_MS = 70;
const SLOW_MS = 24;
const COARSER = 0.75; // of the pixels across, after three slow frames
const COARSEST = 0.4;

export class Follower {
  camera = null;
  /** @type {number | undefined} when it last moved */ then = undefined;
  /** @type {{to: number, from?: any, start?: number} | null} */ tilting = null;

  /** Whether the camera is where it is wanted. */ resting = false;
  /** Share of the pixels across with which a moving ground keeps up. */ sharp = 1;
  slow = 0;

  /** Move towards `goal`, at once under reduced motion; whether it is there. */
  follow(goal, now) {
    if (this.then === undefined) [this.sharp, this.slow] = [Math.min(1, this.sharp / COARSER), 0];
    else this.keepUp(now - this.then);
    this.resting = this.step(goal, now);
    return this.resting;
  }

  /** Draw coarser after frames that took too long. */
  keepUp(took) {
    this.slow = took > SLOW_MS ? this.slow + 1 : Math.max(0, this.slow - 1);
    if (this.slow > 2) [this.sharp, this.slow] = [Math.max(COARSEST, this.sharp * COARSER), 0];
  }

  step(goal, now) {
    if (!this.camera || reducedMotion.matches) { this.camera = goal; return true; }
    const passed = Math.min(250, now - (this.then ?? now - 16));
    this.then = now;
    if (this.tilting?.to !== goal.tilt) this.tilting = goal.tilt === this.camera.tilt ? { to: goal.tilt } : { to: goal.tilt, from: { ...this.camera }, start: now };
    if (this.tilting.from) {
      const t = Math.min(1, (now - this.tilting.start) / TILT_MS);
      const eased = t * t * (3 - 2 * t);
      for (const name of Object.keys(goal)) this.camera[name] = this.tilting.from[name] + eased * (name === 'azimuth' ? wrapped(goal[name] - this.tilting.from[name]) : goal[name] - this.tilting.from[name]);
      if (t < 1) return false;
      this.tilting = { to: goal.tilt };
    }
    const share = 1 - Math.exp(-passed / FOLLOW_MS);
    let rest = 0;
    for (const name of Object.keys(goal)) {
      const way = name === 'azimuth' ? wrapped(goal[name] - this.camera[name]) : goal[name] - this.camera[name];
      const size = name === 'zoom' ? goal.zoom : name === 'azimuth' || name === 'elevation' ? 90 : 1;
      rest = Math.max(rest, Math.abs(way) / size);
      this.camera[name] += share * way;
    }
    if (rest >= 4e-4) return false;
    this.camera = goal;
    this.then = undefined;
    return true;
  }
}
