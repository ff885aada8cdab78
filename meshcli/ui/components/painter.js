// Mend the mask of a cut-out with two brushes: "keep" brings the photo back, "remove" takes it away. What is removed shows
// the photo faintly below. Strokes can be undone; "save" sends the mask as a PNG.
const STEPS = 30;  // that can be undone
export default {
  template: `
    <div class="painter" @keydown="key">
      <div class="painter-tools" role="toolbar" aria-label="Brushes">
        <button type="button" :aria-pressed="keep" @click="keep = true">Keep <kbd>k</kbd></button>
        <button type="button" :aria-pressed="!keep" @click="keep = false">Remove <kbd>r</kbd></button>
        <label>Brush <input type="range" min="2" max="100" v-model.number="size" aria-label="size of the brush"></label>
        <button type="button" :disabled="!past.length" @click="undo">Undo <kbd>u</kbd></button>
        <button type="button" :disabled="!past.length" @click="save" class="main">Save</button>
        <button type="button" @click="$emit('leave')">Close</button>
        <span role="status">{{ said }}</span>
      </div>
      <canvas ref="canvas" tabindex="0" :aria-label="'Cut-out of photo ' + name + ', to paint on'" @pointerdown="begin" @pointermove="paint" @pointerup="end" @pointercancel="end" @pointerleave="hover = null; draw()"></canvas>
    </div>`,
  props: { name: String, stamp: String },
  data() { return { keep: false, size: 30, past: [], said: "Reading the photo ...", hover: null }; },
  async mounted() {
    try {
      const [frame, cut] = await Promise.all([this.read(`/project/frame/${this.name}`), this.read(`/project/cutout/${this.name}`)]);
      this.sha = cut.sha;
      this.setUp(frame.picture, cut.picture);
      this.said = "";
      this.$refs.canvas.focus();
    } catch (error) {
      this.said = String(error.message || error);
    }
  },
  methods: {
    async read(address) {
      const answer = await fetch(`${address}?v=${this.stamp}`);
      if (!answer.ok) throw new Error(await answer.text());
      return { sha: answer.headers.get("x-sha256"), picture: await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" }) };
    },
    layer() {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [this.width, this.height];
      return canvas.getContext("2d", { willReadFrequently: true });
    },
    setUp(frame, cut) {
      [this.width, this.height] = [cut.width, cut.height];
      this.frame = frame;
      // The mask as alpha of black, so that brushes are plain strokes; the browser keeps alpha exactly.
      this.mask = this.layer();
      this.mask.drawImage(cut, 0, 0);
      this.mask.globalCompositeOperation = "source-in";
      this.mask.fillRect(0, 0, this.width, this.height);
      this.shown = this.layer();
      const canvas = this.$refs.canvas;
      [canvas.width, canvas.height] = [this.width, this.height];
      this.draw();
    },
    at(event) {
      const box = this.$refs.canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * this.width / box.width, (event.clientY - box.top) * this.height / box.height];
    },
    radius() { return this.size / 400 * this.width; },
    begin(event) {
      if (!this.mask || event.button > 0) return;
      this.past = [...this.past, this.mask.getImageData(0, 0, this.width, this.height)].slice(-STEPS);
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.last = this.at(event);
      this.stroke(this.last);
    },
    paint(event) {
      if (!this.mask) return;
      this.hover = this.at(event);
      if (this.last) this.stroke(this.hover);
      else this.draw();
    },
    end() { this.last = null; },
    stroke(to) {
      const brush = this.mask;
      brush.globalCompositeOperation = this.keep ? "source-over" : "destination-out";
      [brush.lineCap, brush.lineJoin, brush.lineWidth, brush.strokeStyle] = ["round", "round", 2 * this.radius(), "#000"];
      brush.beginPath();
      brush.moveTo(...this.last);
      brush.lineTo(to[0] + 0.01, to[1]);
      brush.stroke();
      this.last = to;
      this.draw();
    },
    undo() {
      if (!this.past.length) return;
      this.mask.putImageData(this.past[this.past.length - 1], 0, 0);
      this.past = this.past.slice(0, -1);
      this.draw();
    },
    draw() {
      if (!this.mask) return;
      const page = this.$refs.canvas.getContext("2d"), cell = Math.max(8, Math.round(this.width / 40));
      for (let y = 0; y < this.height; y += cell) for (let x = 0; x < this.width; x += cell) {
        page.fillStyle = (x + y) / cell % 2 ? "#d2d2cd" : "#e9e9e5";
        page.fillRect(x, y, cell, cell);
      }
      page.globalAlpha = 0.28;
      page.drawImage(this.frame, 0, 0, this.width, this.height);
      page.globalAlpha = 1;
      this.shown.globalCompositeOperation = "copy";
      this.shown.drawImage(this.mask.canvas, 0, 0);
      this.shown.globalCompositeOperation = "source-in";
      this.shown.drawImage(this.frame, 0, 0, this.width, this.height);
      page.drawImage(this.shown.canvas, 0, 0);
      if (!this.hover) return;
      page.beginPath();
      page.arc(...this.hover, this.radius(), 0, 2 * Math.PI);
      [page.lineWidth, page.strokeStyle] = [Math.max(2, this.width / 300), this.keep ? "#1b8a3c" : "#c3281c"];
      page.stroke();
    },
    async save() {
      this.said = "Saving ...";
      const flat = this.layer();
      // Grey on an opaque picture: alpha would be blended on its way.
      const mask = this.mask.getImageData(0, 0, this.width, this.height), pixels = mask.data;
      for (let place = 0; place < pixels.length; place += 4) {
        pixels[place] = pixels[place + 1] = pixels[place + 2] = pixels[place + 3];
        pixels[place + 3] = 255;
      }
      flat.putImageData(mask, 0, 0);
      const body = await new Promise((resolve) => flat.canvas.toBlob(resolve, "image/png"));
      try {
        const answer = await fetch(`/project/mask/${this.name}`, { method: "POST", body, headers: { "x-sha256": this.sha } });
        const text = await answer.text();
        if (answer.ok) this.$emit("saved");
        else this.said = text;
      } catch {
        this.said = "not saved: meshcli ui does not answer";
      }
    },
    key(event) {
      if (event.target.tagName === "INPUT" || event.altKey || event.metaKey) return;
      if (event.key === "k") this.keep = true;
      else if (event.key === "r") this.keep = false;
      else if (event.key === "u" || (event.key === "z" && event.ctrlKey)) this.undo();
      else if (event.key === "[") this.size = Math.max(2, this.size - 5);
      else if (event.key === "]") this.size = Math.min(100, this.size + 5);
      else return;
      event.preventDefault();
    },
  },
};
