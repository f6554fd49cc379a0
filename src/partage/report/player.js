// The sharing of a figure, played over training: a box a set, a number an agent.

const FRAMES = 160;
const FRAME_TIME = 60; // milliseconds

// The sets that hold at an instant, the largest first; agents alone come last.
function setsAt({ times, first }, instant) {
  let last = 0;
  while (times[last + 1] <= instant) last += 1;
  const sets = new Map();
  first[last].forEach((name, agent) => sets.set(name, [...(sets.get(name) ?? []), agent]));
  return [...sets.values()].sort((a, b) => b.length - a.length || a[0] - b[0]);
}

function chip(agent, colour) {
  const made = make("span", { className: "agent" }, String(agent));
  if (colour) made.style.background = colour;
  return made;
}

function rowOf(seed, groups, colours, instant) {
  const boxes = setsAt(groups, instant).map((agents) => {
    const chips = agents.map((agent) => chip(agent, colours[agent]));
    return make("span", { className: agents.length > 1 ? "set" : "set alone" }, ...chips);
  });
  const title = make("span", { className: "faint" }, `seed ${seed} `);
  return make("div", { className: "sets" }, title, ...boxes);
}

function player(data) {
  const stage = make("div", { className: "stage" });
  const tasks = unique(data.sharing.map((each) => each.task));
  const task = make("select", {}, ...tasks.map((name) => make("option", { value: name }, name)));
  task.setAttribute("aria-label", "task");
  const slider = make("input", { type: "range", min: 0, max: FRAMES, value: 0 });
  slider.setAttribute("aria-label", "how far training is");
  const clock = make("output", {});
  const show = () => {
    const blocks = data.sharing.filter((each) => each.task === task.value);
    const share = Number(slider.value) / FRAMES;
    clock.textContent = `${Math.round(share * blocks[0].end).toLocaleString("en")} ${data.x}`;
    stage.replaceChildren(...blocks.flatMap((block) => [
      make("h4", {}, block.block),
      ...Object.entries(block.seeds).map(([seed, groups]) =>
        rowOf(seed, groups, block.colours, share * block.end)),
    ]));
  };
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const step = () => {
    slider.value = String(Number(slider.value) + 1);
    show();
    if (Number(slider.value) >= FRAMES) stop();
  };
  const play = button("Play", () => {
    if (timer) return stop();
    if (Number(slider.value) >= FRAMES) slider.value = "0";
    play.textContent = "Pause";
    timer = setInterval(step, FRAME_TIME);
  });
  for (const each of [slider, task]) each.addEventListener("input", show);
  const coloured = data.sharing.some((each) => each.colours.length);
  const own = coloured ? "; its colour tells its group of the task" : "";
  const words = `A box is a set of parameters, a number in it an agent${own}.`;
  const tools = [play, slider, clock, ...(tasks.length > 1 ? [task] : [])];
  const made = make(
    "details",
    { className: "player" },
    make("summary", {}, "Play the sharing over training"),
    make("p", { className: "faint" }, words),
    make("div", { className: "tools" }, ...tools),
    stage,
  );
  made.addEventListener("toggle", () => (made.open ? show() : stop()));
  return made;
}
