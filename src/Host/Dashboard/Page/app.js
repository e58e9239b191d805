// One page, live by server-sent events. Everything that a host tells is put in as text, never as markup.
const historySeconds = 300;
const keptEvents = 200;
const silenceMilliseconds = 5000;
const histories = new Map();
let lastPicture = 0;

const at = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit++; }
  return `${bytes < 10 && unit > 0 ? bytes.toFixed(2) : bytes < 100 && unit > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function say(id, text, isWrong) {
  // Only what changes is said again, or a screen reader would never be quiet.
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
  element.classList.toggle("wrong", isWrong);
}

const accountsOn = (pools, gpu) => pools.flatMap((pool) => pool.onGpus.filter((on) => on.gpu === gpu).map((on) => ({ pool, on })));
const heldOf = (on) => on.usedBytes + on.reservedBytes + on.quarantinedBytes;

function part(bar, className, bytes, capacity, title, isLast) {
  if (bytes <= 0) return;
  const piece = make("span", `part ${className}${isLast ? " edge" : ""}`);
  piece.style.width = `${(100 * bytes) / capacity}%`;
  piece.title = title;
  bar.append(piece);
}

function drawGpu(gpu, pools) {
  const card = make("article", "gpu");
  card.append(make("h3", "", `${gpu.gpu} · ${gpu.deviceName}`));
  const bar = make("div", "bar");
  const said = [];
  for (const { pool, on } of accountsOn(pools, gpu.gpu)) {
    const unused = Math.max(0, on.floorBytes - heldOf(on));
    part(bar, "used", on.usedBytes - on.warmBytes + on.reservedBytes, gpu.capacityBytes, `${pool.name}: ${size(on.usedBytes)} used`, on.warmBytes + on.quarantinedBytes + unused === 0);
    part(bar, "warm", on.warmBytes, gpu.capacityBytes, `${pool.name}: ${size(on.warmBytes)} warm`, on.quarantinedBytes + unused === 0);
    part(bar, "quarantined", on.quarantinedBytes, gpu.capacityBytes, `${pool.name}: ${size(on.quarantinedBytes)} quarantined`, unused === 0);
    part(bar, "floor", unused, gpu.capacityBytes, `${pool.name}: ${size(unused)} of its floor unused`, true);
    said.push(`${pool.name} ${size(on.usedBytes)}`);
  }
  if (gpu.roomBytes !== null && gpu.roomBytes < gpu.capacityBytes) {
    const room = make("span", "room");
    room.style.left = `${(100 * gpu.roomBytes) / gpu.capacityBytes}%`;
    room.title = `others leave ${size(gpu.roomBytes)} to pools`;
    bar.append(room);
  }
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `${gpu.gpu}: ${said.length ? said.join(", ") : "no pool"}; ${size(gpu.freeBytes)} of ${size(gpu.capacityBytes)} free`);
  card.append(bar);
  const facts = [`${size(gpu.usedBytes)} of ${size(gpu.capacityBytes)} used`, `${size(gpu.freeBytes)} free`];
  if (gpu.foreignBytes !== null) facts.push(`others ${size(gpu.foreignBytes)}`, `room ${size(gpu.roomBytes)}`);
  card.append(make("p", "quiet", facts.join(" · ")));
  const wrong = [!gpu.isAvailable && "not available", gpu.isDraining && "draining", gpu.isDeviceShort && "others leave too little"].filter(Boolean);
  if (wrong.length) card.append(make("p", "wrong", wrong.join(", ")));
  return card;
}

function remember(key, bytes, now) {
  const history = histories.get(key) ?? [];
  history.push([now, bytes]);
  while (history.length && now - history[0][0] > historySeconds * 1000) history.shift();
  histories.set(key, history);
  return history;
}

function drawHistory(history, limit, name, now) {
  const namespace = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(namespace, "svg");
  picture.setAttribute("class", "history");
  picture.setAttribute("viewBox", "0 0 100 20");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${name}: ${size(history[0][1])} at first, ${size(history[history.length - 1][1])} now, at most ${size(Math.max(...history.map((entry) => entry[1])))}`);
  const line = document.createElementNS(namespace, "polyline");
  line.setAttribute("points", history.map(([when, bytes]) => `${100 - (now - when) / (historySeconds * 10)},${19 - (18 * bytes) / Math.max(1, limit)}`).join(" "));
  picture.append(line);
  return picture;
}

// What a pool has of a GPU, with marks for its floor and its limit.
function drawAccount(pool, on, capacity) {
  const bar = make("div", "bar small");
  part(bar, "used", on.usedBytes - on.warmBytes + on.reservedBytes, capacity, "used", false);
  part(bar, "warm", on.warmBytes, capacity, "warm", false);
  part(bar, "quarantined", on.quarantinedBytes, capacity, "quarantined", false);
  for (const [kind, bytes] of [["floor", on.floorBytes], ["limit", on.limitBytes]]) {
    if (bytes <= 0) continue;
    const mark = make("span", `mark ${kind}-mark`);
    mark.style.left = `min(calc(100% - 3px), ${(100 * bytes) / capacity}%)`;
    mark.title = `${kind} ${size(bytes)}`;
    bar.append(mark);
  }
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `${pool.name} on ${on.gpu}: ${size(on.usedBytes)} used, floor ${size(on.floorBytes)}, limit ${size(on.limitBytes)}`);
  return bar;
}

function drawPools(pools, gpus, now) {
  const capacities = new Map(gpus.map((gpu) => [gpu.gpu, gpu.capacityBytes]));
  const rows = pools.flatMap((pool) => pool.onGpus.map((on) => {
    const row = make("tr");
    const name = make("th", "", pool.name);
    name.scope = "row";
    row.append(name, make("td", "", on.gpu), make("td", pool.awaited ? "wrong" : "", pool.awaited ? `${pool.state}: ${pool.awaited}` : pool.state));
    for (const bytes of [on.usedBytes, on.warmBytes, on.floorBytes, on.limitBytes]) row.append(make("td", "number", size(bytes)));
    if (heldOf(on) > on.limitBytes) row.children[3].classList.add("wrong");
    row.append(make("td", "number", String(pool.weight)));
    const account = make("td");
    account.append(drawAccount(pool, on, capacities.get(on.gpu) ?? Math.max(1, on.limitBytes)));
    row.append(account);
    const cell = make("td");
    cell.append(drawHistory(remember(`${pool.name} ${on.gpu}`, on.usedBytes, now), on.limitBytes, pool.name, now));
    row.append(cell);
    return row;
  }));
  at("pools").replaceChildren(...rows);
  const chooser = at("change-pool");
  const names = pools.map((pool) => pool.name);
  if (names.join() !== [...chooser.options].map((option) => option.value).join()) {
    const chosen = chooser.value;
    chooser.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  }
}

function drawDecisions(domain) {
  const counters = domain.counters;
  const facts = [
    ["epoch", domain.epoch], ["maps", counters.maps], ["unmaps", counters.unmaps], ["refusals", counters.refusals], ["aborts", counters.aborts], ["revoked extents", counters.revokes],
    ["map, median", `${counters.mapMillisecondsP50.toFixed(2)} ms`], ["map, 99th percentile", `${counters.mapMillisecondsP99.toFixed(2)} ms`], ["unmap, median", `${counters.unmapMillisecondsP50.toFixed(2)} ms`],
  ];
  at("decisions").replaceChildren(...facts.map(([name, value]) => {
    const fact = make("div");
    fact.append(make("dt", "", name), make("dd", "", String(value)));
    return fact;
  }));
}

function drawHosts(members) {
  const gone = new Set(members.unreachable.map((member) => member.node));
  at("hosts").replaceChildren(...members.members.map((member) => make("li", gone.has(member.node) ? "wrong" : "",
    `${member.node}: ${gone.has(member.node) ? "can't be reached" : member.status}${member.node === members.oldest ? ", coordinates" : ""}${member.node === members.selfNode ? ", serves this page" : ""}`)));
}

function draw(picture) {
  lastPicture = Date.now();
  drawHosts(picture.members);
  if (!picture.domain) {
    say("state", picture.problem, true);
    return;
  }
  at("domain").textContent = picture.domain.domain;
  say("state", picture.domain.isRecovering ? "recovering: not every host has said yet what it holds" : `${picture.gpus.length} of ${picture.domain.expectedHosts} GPUs`, picture.domain.isRecovering);
  at("gpus").replaceChildren(...picture.gpus.map((gpu) => drawGpu(gpu, picture.domain.pools)));
  drawPools(picture.domain.pools, picture.gpus, lastPicture);
  drawDecisions(picture.domain);
}

function note(happened) {
  const line = make("li");
  const when = make("time", "quiet", new Date(happened.at).toLocaleTimeString());
  when.dateTime = happened.at;
  line.append(when, ` ${happened.kind}${happened.pool ? ` ${happened.pool}` : ""}${happened.gpu ? ` ${happened.gpu}` : ""}: ${happened.detail}`);
  at("events").prepend(line);
  while (at("events").children.length > keptEvents) at("events").lastChild.remove();
}

// A browser connects again by itself after most failures, but not when it was answered with one, as by a host that is just starting.
function follow(path, hear) {
  let source;
  const open = () => {
    source = new EventSource(path);
    hear(source);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 1000);
    };
  };
  open();
}

async function change(submitted) {
  submitted.preventDefault();
  const body = {};
  if (at("change-limit").value.trim()) body.limit = at("change-limit").value.trim();
  if (at("change-floor").value.trim()) body.floor = at("change-floor").value.trim();
  sessionStorage.setItem("token", at("change-token").value);
  try {
    const response = await fetch(`/pools/${encodeURIComponent(at("change-pool").value)}/limit`, {
      method: "PUT",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${at("change-token").value.trim()}` },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    say("outcome", response.ok ? `${answer.name}: ${answer.outcome}, revision ${answer.revision}` : `${answer.title}: ${answer.detail}`, !response.ok);
  } catch (failure) {
    say("outcome", `The host doesn't answer: ${failure.message}`, true);
  }
}

at("change-token").value = sessionStorage.getItem("token") ?? "";
at("change").addEventListener("submit", change);
follow("/dashboard/stream", (source) => source.addEventListener("picture", (message) => draw(JSON.parse(message.data))));
follow("/events", (source) => {
  source.onmessage = null;
  for (const kind of document.documentElement.dataset.kinds?.split(" ") ?? []) source.addEventListener(kind, (message) => note(JSON.parse(message.data)));
});
setInterval(() => {
  if (Date.now() - lastPicture > silenceMilliseconds) say("state", "the host doesn't answer; what is shown may be old", true);
}, 1000);
