"use strict";
const steps = JSON.parse(document.getElementById("steps").textContent);
const $ = id => document.getElementById(id);
const slider = $("step"), lastBoard = $("board").innerHTML;
let playing = 0;

// --- stepping ---
function show() {
  const at = Number(slider.value), step = steps[at];
  if (!step) return;
  const isLast = at === steps.length - 1;
  $("said").textContent = step.words;
  $("board").innerHTML = isLast ? lastBoard : step.board;
  for (const name of ["sequence", "endpoints", "wire"]) {
    let newest = null;
    for (const group of $(name).querySelectorAll("g[data-n]")) {
      const later = !isLast && Number(group.dataset.n) > step.number;
      group.classList.toggle("later", later);
      if (!later && (!newest || Number(group.dataset.n) >= Number(newest.dataset.n))) newest = group;
    }
    if (newest && !isLast) keepInView($(name), newest);
  }
  moveCursor(step.time, isLast);
  if (!isLast && (step.time < view[0] || step.time > view[1])) move(step.time - (view[1] - view[0]) / 2, view[1] - view[0]);
}
function keepInView(section, element) {
  const inner = element.getBoundingClientRect(), outer = section.getBoundingClientRect();
  if (inner.top < outer.top || inner.bottom > outer.bottom)
    section.scrollTop += inner.top - outer.top - section.clientHeight / 2;
}
function stop() { clearInterval(playing); playing = 0; $("play").firstChild.data = $("play").firstChild.data.replace("⏸", "▶"); }
function go(to) { slider.value = to; show(); }
$("play").onclick = () => {
  if (playing) return stop();
  if (Number(slider.value) === steps.length - 1) go(0);
  $("play").firstChild.data = $("play").firstChild.data.replace("▶", "⏸");
  playing = setInterval(() => { if (Number(slider.value) >= steps.length - 1) stop(); else go(Number(slider.value) + 1); }, 600);
};
$("back").onclick = () => { stop(); go(Number(slider.value) - 1); };
$("next").onclick = () => { stop(); go(Number(slider.value) + 1); };
slider.oninput = () => { stop(); show(); };

// --- looking closer at the timeline ---
const picture = document.querySelector("#timeline > svg"), cursor = picture.querySelector(".cursor");
const whole = [Number(picture.dataset.begin), Number(picture.dataset.end)];
const zero = Number(picture.dataset.zero), left = Number(picture.dataset.left), width = Number(picture.dataset.width);
let view = [...whole], cursorTime = null;
const place = time => (time - view[0]) / Math.max(view[1] - view[0], 1) * width;
function draw() {
  for (const bar of picture.querySelectorAll("g[data-b][data-e]")) {
    const from = place(Number(bar.dataset.b)), to = place(Number(bar.dataset.e));
    const rect = bar.querySelector("rect"), text = bar.querySelector("text"), shown = Math.max(from, 0);
    rect.setAttribute("x", from); rect.setAttribute("width", Math.max(to - from, 1.5));
    if (!text) continue;
    text.setAttribute("x", shown + 6);
    text.setAttribute("visibility", text.getComputedTextLength() + 10 < Math.min(to, width) - shown ? "visible" : "hidden");
  }
  for (const tick of picture.querySelectorAll(".tick")) tick.remove();
  for (let step = nice((view[1] - view[0]) / 6), t = zero + Math.ceil((view[0] - zero) / step) * step; t <= view[1]; t += step) addTick(t);
  moveCursor(cursorTime, cursorTime === null);
}
function nice(length) {
  let power = 1;
  while (power * 10 < length) power *= 10;
  return [1, 2, 5, 10].map(n => n * power).find(step => step >= length);
}
function addTick(time) {
  const x = left + place(time), svg = name => document.createElementNS("http://www.w3.org/2000/svg", name);
  const tick = svg("g"), line = svg("line"), text = svg("text");
  tick.setAttribute("class", "tick"); line.setAttribute("class", "line"); text.setAttribute("class", "soft middle");
  for (const [name, value] of Object.entries({x1: x, x2: x, y1: cursor.getAttribute("y1"), y2: cursor.getAttribute("y2")}))
    line.setAttribute(name, value);
  text.setAttribute("x", x); text.setAttribute("y", Number(cursor.getAttribute("y2")) + 20);
  time -= zero;
  text.textContent = !time ? "0" : time < 1e6 ? `${+(time / 1e3).toFixed(2)} µs` : time < 1e9 ? `${+(time / 1e6).toFixed(2)} ms` : `${+(time / 1e9).toFixed(3)} s`;
  tick.append(line, text); picture.append(tick);
}
function moveCursor(time, hidden) {
  cursorTime = hidden ? null : time;
  const x = hidden ? 0 : place(time);
  cursor.style.visibility = hidden || x < 0 || x > width ? "hidden" : "visible";
  cursor.setAttribute("x1", left + x); cursor.setAttribute("x2", left + x);
}
function closer(factor, middle = 0.5) {
  const length = Math.min(Math.max((view[1] - view[0]) * factor, 1000), whole[1] - whole[0]);
  move(view[0] + (view[1] - view[0]) * middle - length * middle, length);
}
function move(begin, length) {
  begin = Math.min(Math.max(begin, whole[0]), whole[1] - length);
  view = [begin, begin + length];
  draw();
}
const middle = () => cursorTime === null ? 0.5 : Math.min(Math.max(place(cursorTime) / width, 0), 1);
$("closer").onclick = () => closer(0.5, middle());
$("farther").onclick = () => closer(2, middle());
$("whole").onclick = () => { view = [...whole]; draw(); };
const share = event => Math.min(Math.max((event.clientX - picture.getBoundingClientRect().left - left) / width, 0), 1);
picture.addEventListener("wheel", event => {
  if (event.clientX - picture.getBoundingClientRect().left < left) return;
  event.preventDefault();
  closer(event.deltaY < 0 ? 0.8 : 1.25, share(event));
}, {passive: false});
let held = null;
picture.addEventListener("pointerdown", event => { held = [event.clientX, view[0]]; picture.setPointerCapture(event.pointerId); });
picture.addEventListener("pointerup", () => { held = null; });
picture.addEventListener("pointermove", event => {
  if (held) move(held[1] - (event.clientX - held[0]) / width * (view[1] - view[0]), view[1] - view[0]);
});
show();
