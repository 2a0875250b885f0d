// Keeps an open page true: times in the reader's zone, parts that change, and what to do while a server is away.
// Every page can be read without it.
const main = document.getElementById("main");
const away = document.getElementById("away");
const zoneName = Intl.DateTimeFormat().resolvedOptions().timeZone;
const wall = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });

const SPANS = [
  [864e6, (ms) => `${Math.round(ms / 864e5)} days`],
  [1728e5, (ms) => `${Math.round(ms / 864e4) / 10} days`],
  [36e5, (ms) => `${Math.round(ms / 36e5)} h`],
  [6e4, (ms) => `${Math.round(ms / 6e4)} min`],
  [0, (ms) => `${Math.ceil(ms / 1000)} s`],
];

function distance(ms) {
  const length = Math.abs(ms);
  if (length < 2000) return "just now";
  const text = SPANS.find(([from]) => length >= from)[1](length);
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

function showTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const clock = time.querySelector("[data-time]");
    const relative = time.querySelector("[data-rel]");
    if (clock) clock.textContent = wall.format(at);
    if (relative) relative.textContent = distance(at - Date.now());
  }
}

/** Puts the parts of a newer version of this page in place, except where somebody is typing or has opened a form. */
function takeOver(fresh) {
  document.title = fresh.title;
  const { refresh: interval } = main.dataset;
  for (const name of ["refresh", "version", "model"]) {
    const value = fresh.getElementById("main")?.dataset[name];
    if (value === undefined) delete main.dataset[name];
    else main.dataset[name] = value;
  }
  if (main.dataset.refresh !== interval) {
    schedule();
    listen();
  }
  const icon = document.getElementById("icon");
  const newIcon = fresh.getElementById("icon");
  if (icon && newIcon && icon.getAttribute("href") !== newIcon.getAttribute("href"))
    icon.replaceWith(newIcon);
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(part.id);
    if (!next) continue;
    showTimes(next);
    if (part.innerHTML === next.innerHTML) continue;
    const isInUse =
      part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
    if (isInUse || part.querySelector("details.action[open]")) continue;
    const open = [...part.querySelectorAll("details")].map(({ open: isOpen }) => isOpen);
    const scrolled = [...part.querySelectorAll(".scroll")].map(({ scrollLeft }) => scrollLeft);
    const focused = part.contains(document.activeElement) ? pathOf(part, document.activeElement) : null;
    part.replaceChildren(...next.childNodes);
    part.className = next.className;
    [...part.querySelectorAll("details")].forEach((details, index) => {
      details.open = open[index] ?? false;
    });
    [...part.querySelectorAll(".scroll")].forEach((region, index) => {
      region.scrollLeft = scrolled[index] ?? 0;
    });
    if (focused) followPath(part, focused)?.focus({ preventScroll: true });
  }
}

const pathOf = (root, element) => {
  const path = [];
  for (let at = element; at !== root; at = at.parentElement)
    path.unshift([...at.parentElement.children].indexOf(at));
  return path;
};
const followPath = (root, path) => path.reduce((at, index) => at?.children[index], root);

let reading = null;
let again = false;
/** Reads this page again, unless it still has a version; calls that come meanwhile lead to one more reading. */
async function refresh(version) {
  if (reading) {
    again = true;
    await reading;
    return;
  }
  reading = (async () => {
    try {
      const known = version === undefined ? {} : { "If-None-Match": version };
      const response = await fetch(location.href, { headers: { Accept: "text/html", ...known } });
      if (response.redirected) location.replace(response.url);
      else if (response.ok) takeOver(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch {
      // checkServers reports the cause.
    }
  })();
  await reading;
  reading = null;
  if (again) {
    again = false;
    await refresh();
  }
}

let soon = null;
/** Changes come in bursts, and to many open pages at once. */
function refreshSoon() {
  soon ??= setTimeout(
    () => {
      soon = null;
      void refresh();
    },
    100 + Math.random() * 400,
  );
}

let isAway = false;
async function checkServers() {
  if (document.hidden) return;
  let text = "";
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    const { postgres, redis, reason } = await response.json();
    if (postgres === "down")
      text =
        "Postgres is away. Figures may be out of date and nothing can be changed; this page recovers by itself.";
    else if (redis === "down")
      text = "Redis is away. Nothing can be requested until it is back; this page recovers by itself.";
    else if (reason) text = `Redis refuses writes: ${reason}`;
  } catch {
    text = "Retrigger does not respond. Is it running? This page recovers by itself.";
  }
  away.hidden = text === "";
  if (away.textContent !== text) away.textContent = text;
  if (isAway && text === "") await refresh();
  isAway = text !== "";
}

/** Reads the page again at the interval that its latest version sets. */
let next = null;
function schedule() {
  clearTimeout(next);
  const every = Number(main.dataset.refresh);
  if (!(every > 0)) return;
  const again = () => refresh().then(schedule);
  next = setTimeout(() => void (document.hidden ? schedule() : again()), every);
}

let stream = null;
let retry = null;
function listen() {
  stream?.close();
  clearTimeout(retry);
  stream = null;
  if (document.hidden || main.dataset.version === undefined || main.dataset.refresh !== undefined) return;
  stream = new EventSource("/api/v1/stream");
  // Something may have changed before the stream was open.
  stream.addEventListener("open", () => void refresh(main.dataset.version));
  // A stream that was refused does not come back by itself.
  stream.addEventListener("error", () => {
    if (stream?.readyState === EventSource.CLOSED) retry = setTimeout(listen, 5_000 + Math.random() * 5_000);
  });
  for (const kind of ["decision", "training"])
    stream.addEventListener(kind, ({ data }) => {
      const { model } = main.dataset;
      if (model === undefined || JSON.parse(data).model === model) refreshSoon();
    });
}

if (main && away) {
  showTimes(document);
  // On a narrow screen, what is new comes first.
  for (const chart of document.querySelectorAll(".chart")) chart.parentElement.scrollLeft = chart.clientWidth;
  const zone = document.querySelector("[data-zone]");
  if (zone) zone.textContent = zoneName;
  setInterval(() => showTimes(document), 15_000);
  setInterval(() => void checkServers(), 4_000);
  schedule();
  listen();
  // A hidden page needs no connection: a browser has only six for a site.
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) void Promise.all([refresh(), checkServers()]);
  });
  // A second click must not send a form again.
  document.addEventListener("submit", ({ target }) => {
    if (target.method === "post")
      for (const button of target.querySelectorAll("button")) button.disabled = true;
  });
  // The page is shown once more as it was left.
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
  });
}
