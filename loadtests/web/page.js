// Asks for the figures of the replay once a second and draws them. No library: three line charts and three tables.
"use strict";
const EVERY_MS = 1000;
const COLOURS = ["#767676", "#0072b2", "#d55e00"];
const OUTCOMES = ["ok", "refused", "failed", "timed_out", "dropped", "lost"];
const COLUMNS = [
  ["planned", "planned by now"], ...OUTCOMES.map((name) => [name, name.replace("_", " ")]),
  ["response_p50_s", "response p50"], ["response_p95_s", "response p95"], ["service_p95_s", "service p95"],
  ["lateness_p99_s", "lag p99"],
];

const element = (name, text, attributes = {}) => {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const count = (value) => value.toLocaleString("en-GB");
const time = (value_s) => {
  if (value_s === "never") return "never";
  if (value_s === null) return "–";
  return value_s < 1 ? `${(1000 * value_s).toFixed(value_s < 0.01 ? 1 : 0)} ms` : `${value_s.toFixed(2)} s`;
};
const number = (text, isBad = false) => element("td", text, { class: isBad ? "number missed" : "number" });

function outcomes(found) {
  const shown = [["planned by now", found.planned_so_far, false],
    ...OUTCOMES.map((name) => [name.replace("_", " "), found.outcomes[name], name !== "ok" && found.outcomes[name] > 0])];
  document.getElementById("outcomes").replaceChildren(...shown.map(([name, value, isBad]) => {
    const box = element("div", "", isBad ? { class: "bad" } : {});
    box.append(element("dt", name), element("dd", count(value)));
    return box;
  }));
}

function rules(found) {
  const table = document.getElementById("rules");
  table.hidden = !found.rules.length;
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(2)}%`);
  table.tBodies[0].replaceChildren(...found.rules.map((rule) => {
    const row = element("tr", "");
    const said = rule.met === null ? "no step yet" : rule.met ? "met" : rule.name === "slo" ? "missed" : "invalid";
    row.append(element("td", rule.name === "slo" ? "response from due" : "generator lag"), element("td", rule.operation),
      number(time(rule.limit_s)), number(percent(rule.needed)), number(percent(rule.kept)), number(count(rule.steps)),
      element("td", said, { class: rule.met === null ? "" : rule.met ? "met" : "missed" }));
    return row;
  }));
}

function table(id, rows, recent_s) {
  const shown = document.getElementById(id);
  shown.caption.textContent = `Counts from the start; times over the steps due in the last ${recent_s} s`;
  const head = element("tr", "");
  head.append(element("th", id === "by_agency" ? "agency" : "operation"),
    ...COLUMNS.map(([, title]) => element("th", title, { class: "number" })));
  shown.tHead.replaceChildren(head);
  shown.tBodies[0].replaceChildren(...rows.map((row) => {
    const line = element("tr", "");
    line.append(element("th", row.name, { scope: "row" }), ...COLUMNS.map(([key]) => key.endsWith("_s")
      ? number(time(row[key]), row[key] === "never")
      : number(count(row[key]), OUTCOMES.indexOf(key) > 0 && row[key] > 0)));
    return line;
  }));
}

// A round number not below `value`, for the top of an axis.
const roundUp = (value) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
};

function chart(id, lines, upTo, label) {
  const [width, height, left, bottom, top] = [480, 190, 56, 20, 8];
  const values = lines.flatMap(([, points]) => points.slice(0, upTo + 1)).filter((value) => typeof value === "number");
  const most = roundUp(Math.max(...values, 1e-4));
  const x = (second) => left + (width - left - 4) * second / Math.max(upTo, 1);
  const y = (value) => height - bottom - (height - bottom - top) * value / most;
  const parts = [0, 0.5, 1].map((share) => `<line x1="${left}" x2="${width}" y1="${y(share * most)}" y2="${y(share * most)}"
    stroke="#d9d9d9"/><text x="${left - 6}" y="${y(share * most) + 4}" text-anchor="end">${label(share * most)}</text>`);
  for (const second of [0, Math.round(upTo / 2), upTo]) parts.push(
    `<text x="${x(second)}" y="${height - 5}" text-anchor="${second ? (second === upTo ? "end" : "middle") : "start"}">${second} s</text>`);
  lines.forEach(([, points], place) => {
    let pen = "M";
    const path = points.slice(0, upTo + 1).map((value, second) => {
      if (value === "never") parts.push(`<line x1="${x(second)}" x2="${x(second)}" y1="${top}" y2="${top + 9}"
        stroke="#b3261e" stroke-width="3"><title>${second} s: never answered rightly</title></line>`);
      if (typeof value !== "number") { pen = "M"; return ""; }
      const step = `${pen}${x(second).toFixed(1)},${y(value).toFixed(1)}`;
      pen = "L";
      return step;
    });
    parts.push(`<path d="${path.join("")}" fill="none" stroke="${COLOURS[place]}" stroke-width="${place ? 1.6 : 3}"/>`);
  });
  const figure = document.getElementById(id);
  figure.querySelectorAll("svg, .key").forEach((old) => old.remove());
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawn.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
  drawn.innerHTML = parts.join("");
  const key = element("div", "", { class: "key" });
  key.append(...lines.map(([name], place) => element("span", name, { style: `--line: ${COLOURS[place]}` })));
  figure.append(drawn, key);
}

function draw(found) {
  const state = document.getElementById("state");
  if (found.waiting) { state.textContent = "Waiting for the replay to begin."; return; }
  const played_s = Math.max(0, Math.floor(Math.min(found.played_s, found.seconds.planned.length - 1)));
  state.textContent = `${played_s} s of ${found.length_s} s played`;
  outcomes(found);
  rules(found);
  const seconds = found.seconds;
  // Workers write once a second: the last two are not whole while the replay goes on.
  const whole_s = Math.max(0, Math.min(Math.floor(found.played_s) - 2, seconds.planned.length - 1));
  chart("rates", [["planned", seconds.planned], ["released", seconds.released], ["finished", seconds.finished]], whole_s,
    (value) => count(value));
  chart("times", [["service time", seconds.service_p95_s], ["response time from due", seconds.response_p95_s]], whole_s, time);
  chart("lateness", [["released − due", seconds.lateness_p99_s]], whole_s, time);
  table("by_operation", found.by_operation, found.recent_s);
  table("by_agency", found.by_agency, found.recent_s);
}

async function look() {
  try {
    const answer = await fetch("./replay/figures");
    if (answer.ok) draw(await answer.json());
  } catch {
    document.getElementById("state").textContent = "Locust no longer answers; the figures below are its last ones.";
  }
  setTimeout(look, EVERY_MS);
}
look();
