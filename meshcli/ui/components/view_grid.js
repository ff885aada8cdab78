// The views as pictures: click one, or move with the arrow keys and take it with the space bar. The state of the choice
// is the server's; keys that are no movement are sent there as they are.
export default {
  template: `
    <div class="view-grid" role="listbox" aria-multiselectable="true" aria-label="Views" tabindex="0"
        :aria-activedescendant="'view-' + current" @keydown="key" ref="grid">
      <div v-for="(view, row) in views" :key="view.name" :id="'view-' + row" class="view" role="option"
          :class="{ chosen: places[view.name], current: row === current }" :aria-selected="Boolean(places[view.name])"
          :aria-label="view.label" @click="take(row)">
        <img :src="view.picture" alt="" loading="lazy" decoding="async" draggable="false">
        <span v-if="places[view.name]" class="place">{{ places[view.name] }}</span>
        <span class="caption"><b>{{ view.number }} · {{ view.name }}</b><span v-if="view.score" class="score" :title="view.scores">{{ view.score }}</span><br>{{ view.angles }}</span>
      </div>
    </div>`,
  props: { views: Array, chosen: Array, current: Number },
  computed: {
    places() { return Object.fromEntries(this.chosen.map((name, index) => [name, index + 1])); },
  },
  watch: { current() { this.$nextTick(() => this.reveal()); } },
  methods: {
    take(row) {
      this.$refs.grid.focus({ preventScroll: true });
      this.$emit("take", row);
    },
    columns() {
      const options = this.$refs.grid.children;
      let count = 0;
      while (count < options.length && options[count].offsetTop === options[0].offsetTop) count++;
      return Math.max(count, 1);
    },
    reveal() {
      if (document.activeElement === this.$refs.grid && this.$refs.grid.children[this.current]) this.$refs.grid.children[this.current].scrollIntoView({ block: "nearest" });
    },
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const last = this.views.length - 1, row = this.columns();
      const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, PageUp: -3 * row, PageDown: 3 * row, Home: -last, End: last };
      const keys = { " ": " ", Enter: "enter", s: "s", a: "a", n: "n", u: "u" };
      if (event.key in moves) this.$emit("move", moves[event.key]);
      else if (event.key in keys) this.$emit("press", keys[event.key]);
      else return;
      event.preventDefault();
    },
  },
};
