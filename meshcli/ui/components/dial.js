// From which side a photo was taken, seen from above: the photo on a ring around the object, to be dragged or turned with
// the arrow keys. Azimuth 0 is at the bottom, angles grow counter-clockwise.
export default {
  template: `
    <svg class="dial" :class="{ unknown: shown === null, locked: fixed }" viewBox="-100 -100 200 200" role="slider"
        :tabindex="fixed ? -1 : 0" :aria-label="'azimuth of photo ' + name" aria-valuemin="0" aria-valuemax="359"
        :aria-valuenow="shown === null ? 0 : Math.round(shown)" :aria-valuetext="shown === null ? 'not known' : Math.round(shown) + ' degrees'"
        :aria-disabled="fixed" @pointerdown="grab" @pointermove="drag" @pointerup="drop" @pointercancel="held = false" @keydown="key">
      <circle class="ring" r="62" />
      <g class="ticks"><line v-for="each in 24" :key="each" y1="58" :y2="each % 6 === 0 ? 67 : 62" :transform="'rotate(' + each * 15 + ')'" /></g>
      <g class="sides"><text y="51">front 0</text><text x="44" y="3">90</text><text y="-44">180</text><text x="-44" y="3">270</text></g>
      <path class="body" d="M-13 9 L-13 -7 L0 -13 L13 -7 L13 9 L0 15 Z M-13 -7 L0 -1 L13 -7 M0 -1 L0 15" />
      <g v-if="shown !== null && near">
        <path class="sight" :d="sight" />
        <g :transform="'translate(' + place.x + ' ' + place.y + ')'">
          <circle class="rim" r="24" />
          <clipPath :id="'rim-' + name"><circle r="21.5" /></clipPath>
          <image v-if="photo" :href="photo" x="-21.5" y="-21.5" width="43" height="43" preserveAspectRatio="xMidYMid slice" :clip-path="'url(#rim-' + name + ')'" />
        </g>
      </g>
      <text v-if="shown === null" class="ask" y="-72">drag around</text>
    </svg>`,
  props: { name: String, angle: Number, photo: String, fixed: Boolean },
  data() { return { held: false, turned: null, near: false }; },
  computed: {
    shown() { return this.turned !== null ? this.turned : (this.angle === undefined ? null : this.angle); },
    place() {
      const turn = this.shown * Math.PI / 180;
      return { x: 74 * Math.sin(turn), y: 74 * Math.cos(turn) };
    },
    sight() {
      const at = (degrees, radius) => [radius * Math.sin(degrees * Math.PI / 180), radius * Math.cos(degrees * Math.PI / 180)].map((each) => each.toFixed(1)).join(" ");
      return `M${at(this.shown, 56)} L${at(this.shown - 70, 17)} L${at(this.shown + 70, 17)} Z`;
    },
  },
  // The photo is fetched once the dial is nearly in sight: a project may have forty.
  mounted() {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((each) => each.isIntersecting)) return;
      this.near = true;
      observer.disconnect();
    }, { rootMargin: "50%" });
    observer.observe(this.$el);
    this.observer = observer;
  },
  unmounted() { this.observer.disconnect(); },
  // Turned fast, it is ahead of the server, whose older answers must not turn it back.
  watch: { angle(now) { if (!this.held && (now === this.turned || now === undefined)) this.turned = null; } },
  methods: {
    grab(event) {
      if (this.fixed) return;
      this.held = true;
      this.$el.setPointerCapture(event.pointerId);
      this.drag(event);
    },
    drag(event) {
      if (!this.held) return;
      const box = this.$el.getBoundingClientRect();
      const x = event.clientX - box.left - box.width / 2, y = event.clientY - box.top - box.height / 2;
      const step = event.shiftKey ? 1 : 5;
      if (Math.hypot(x, y) > 6) this.turned = (Math.round(Math.atan2(x, y) * 180 / Math.PI / step) * step + 360) % 360;
    },
    drop() {
      if (this.held && this.turned !== null) this.$emit("turn", this.turned);
      this.held = false;
    },
    key(event) {
      const step = event.shiftKey ? 1 : 5;
      const steps = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step };
      if (this.fixed || event.ctrlKey || event.metaKey || event.altKey || !(event.key in steps || event.key === "Home")) return;
      event.preventDefault();
      this.turned = event.key === "Home" ? 0 : (Math.round((this.shown === null ? -steps[event.key] : this.shown) + steps[event.key]) + 360) % 360;
      this.$emit("turn", this.turned);
    },
  },
};
