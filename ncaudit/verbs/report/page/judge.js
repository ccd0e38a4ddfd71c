// Judging on the page: one pair at a time, by keys or buttons; verdicts stay in this browser and leave as CSV.
// Knows the pairs, how many rows their strata hold, and the file that `ncaudit score --verdicts` reads. No score and
// no verdict of a model is in its data: a judge is to be blind.
"use strict";
(() => {
  const root = document.getElementById("judge");
  if (!root) return;
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const { key, name, strata, pairs } = JSON.parse(document.getElementById("judge-data").textContent);

  const KEYS = { y: "yes", 1: "yes", n: "no", 2: "no", " ": "cannot tell", "?": "cannot tell", 3: "cannot tell" };
  const BACK = ["Backspace", "ArrowLeft"];
  const CODES = { "-": "", y: "yes", n: "no", "?": "cannot tell" }; // a letter each: 200 verdicts are 200 bytes
  const TOLD = { yes: "match", no: "mismatch", "cannot tell": "cannot tell" };
  const MOST_SHOWN = 2000; // letters of a caption
  const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/; // what spreadsheet programs run instead of showing it
  const Z = 1.6448536269514722; // 90 % of a normal distribution lie within this many standard deviations
  const PRIOR = 2; // verdicts that each stratum's rate is drawn towards the overall one by

  let said = pairs.map(() => "");
  let at = 0; // the pair that is shown; pairs.length: the end
  let keeps = true; // whether this browser does
  let saved = true; // whether all verdicts are in a file, or there are none

  // ---- what is kept -------------------------------------------------------------------------------------------------
  function restore() {
    try {
      const codes = localStorage.getItem(key) || "";
      said = pairs.map((_, i) => CODES[codes[i]] || "");
    } catch {
      keeps = false;
    }
  }

  function keep() {
    const letters = Object.fromEntries(Object.entries(CODES).map(([code, word]) => [word, code]));
    const codes = said.map((word) => letters[word]).join("");
    try {
      localStorage.setItem(key, codes);
      keeps = localStorage.getItem(key) === codes;
    } catch {
      keeps = false; // denied, or full
    }
  }

  // ---- what the verdicts say: as `score --verdicts` has it ----------------------------------------------------------
  const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

  function counted(word) {
    return said.filter((one) => one === word).length;
  }

  function byStratum() {
    const found = strata.map(({ rows }, number) => ({ rows, number, verdicts: 0, mismatches: 0 }));
    said.forEach((word, i) => {
      if (word !== "yes" && word !== "no") return;
      found[pairs[i].stratum].verdicts += 1;
      found[pairs[i].stratum].mismatches += word === "no";
    });
    return found;
  }

  // Strata without a verdict join the nearest one with verdicts; of two as near, the one with lower scores.
  function merged() {
    const all = byStratum();
    const known = all.filter((one) => one.verdicts);
    const joined = known.map((one) => ({ ...one, rows: 0 }));
    for (const { rows, number } of known.length ? all : []) {
      const far = known.map((one) => Math.abs(one.number - number));
      joined[far.indexOf(Math.min(...far))].rows += rows;
    }
    return joined;
  }

  function wilson(share, trials) {
    if (trials === Infinity) return [share, share];
    const pull = (Z * Z) / trials;
    const middle = (share + pull / 2) / (1 + pull);
    const half = (Z * Math.sqrt((share * (1 - share)) / trials + pull / (4 * trials))) / (1 + pull);
    return [Math.min(share, Math.max(0, middle - half)), Math.max(share, Math.min(1, middle + half))];
  }

  // Each stratum weighs as much as it has rows; the interval is for as many verdicts as would say as much, drawn plainly.
  function noiseRate() {
    const parts = merged();
    const judged = sum(parts.map((one) => one.verdicts));
    if (!judged) return null;
    const rows = sum(parts.map((one) => one.rows));
    const rate = sum(parts.map((one) => (one.rows * one.mismatches) / one.verdicts)) / rows;
    const overall = (judged * rate + 1) / (judged + 2);
    const terms = parts.map((one) => {
      const drawn = (one.mismatches + PRIOR * overall) / (one.verdicts + PRIOR);
      const weight = one.rows / rows;
      const unseen = 1 - one.verdicts / one.rows;
      return { centre: weight * drawn, variance: (weight ** 2 * unseen * drawn * (1 - drawn)) / one.verdicts };
    });
    const centre = sum(terms.map((one) => one.centre));
    const variance = sum(terms.map((one) => one.variance));
    const [low, high] = wilson(rate, variance ? (centre * (1 - centre)) / variance : Infinity);
    return { rate, low, high, judged };
  }

  // ---- what is shown ------------------------------------------------------------------------------------------------
  const percent = (share) => `${(share * 100).toFixed(1)}%`;
  const plural = (count, word, words = `${word}s`) => `${count} ${count === 1 ? word : words}`;

  function caption(pair) {
    const text = pair.caption || "";
    const letters = [...text.slice(0, 2 * MOST_SHOWN)].slice(0, MOST_SHOWN).join("");
    const all = pair.caption_characters || text.length;
    return letters.length < text.length || all > text.length
      ? `${letters} … (${all.toLocaleString("en")} characters)`
      : text;
  }

  // A new element for each picture: the old one would show the last picture until the new one is decoded.
  function picture(number) {
    const { image } = pairs[number];
    if (!image) {
      const none = document.createElement("p");
      none.textContent = "No picture: it could not be read.";
      return none;
    }
    const shown = new Image();
    shown.alt = `Picture ${number + 1}`;
    shown.src = image;
    return shown;
  }

  function showPair() {
    const pair = pairs[at];
    part("picture").replaceChildren(picture(at));
    part("caption").textContent = caption(pair);
    part("caption").hidden = !caption(pair).trim();
    part("no-caption").hidden = !part("caption").hidden;
    part("number").textContent = `Pair ${at + 1} of ${pairs.length}`;
    for (const button of root.querySelectorAll("[data-say]")) {
      button.setAttribute("aria-pressed", String(button.dataset.say === said[at]));
    }
    if (at + 1 < pairs.length) new Image().src = pairs[at + 1].image || ""; // decoded before it is asked for
  }

  function showEnd() {
    const open = counted("");
    part("end-title").textContent = open ? `The end: ${plural(open, "pair")} not judged yet` : "All pairs are judged";
    part("open").hidden = !open;
  }

  function showRate() {
    const found = noiseRate();
    part("rate").textContent = found ? percent(found.rate) : "–";
    part("rate").value = found ? String(found.rate) : "";
    part("interval").textContent = found
      ? `90 % interval ${percent(found.low)} to ${percent(found.high)}, from ${plural(found.judged, "verdict")}`
      : "no verdict yet";
  }

  function show() {
    const ended = at === pairs.length;
    part("pair").hidden = ended;
    part("end").hidden = !ended;
    part("early").hidden = ended;
    part("back").disabled = at === 0;
    if (ended) showEnd();
    else showPair();
    const judged = pairs.length - counted("");
    part("progress").value = judged;
    part("progress").textContent = part("count").textContent = `${judged} of ${pairs.length} judged`;
    part("told").textContent =
      `${plural(counted("yes"), "match", "matches")}, ${plural(counted("no"), "mismatch", "mismatches")}, ` +
      `${counted("cannot tell")} cannot tell`;
    part("clear").textContent = `Clear ${plural(judged, "verdict")}`;
    part("unkept").hidden = keeps;
    showRate();
  }

  // ---- what the judge does ------------------------------------------------------------------------------------------
  // Screen readers are told once what has become of the last pair and what the next one is.
  function announce(what) {
    const where = at === pairs.length ? part("end-title").textContent : `Pair ${at + 1} of ${pairs.length}`;
    const words = at === pairs.length ? "" : `: ${caption(pairs[at]).slice(0, 300)}`;
    part("spoken").textContent = `${what}${where}${words}`;
  }

  function go(place, what = "") {
    at = Math.max(0, Math.min(place, pairs.length));
    show();
    announce(what);
    if (at === pairs.length) part("end-title").focus();
    else if (!document.activeElement || !root.contains(document.activeElement) || isGone(document.activeElement)) {
      root.focus({ preventScroll: true });
    }
  }

  const isGone = (element) => element.disabled || !element.getClientRects().length;

  function judge(word) {
    if (at === pairs.length) return;
    said[at] = word;
    saved = false;
    keep();
    go(at + 1, `Kept: ${TOLD[word]}. `);
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const presses = event.key === " " && event.target.closest("button, summary"); // that is what space does there
    const word = KEYS[event.key.toLowerCase()];
    if (presses || !(word || BACK.includes(event.key) || event.key === "ArrowRight")) return;
    event.preventDefault(); // space would scroll
    if (word && !event.repeat) judge(word); // a key held down is one verdict
    else if (BACK.includes(event.key)) go(at - 1);
    else if (event.key === "ArrowRight") go(at + 1);
  }

  // After a click keys are to work at once; who pressed the button by a key stays on it.
  function pressed(event, what) {
    if (event.detail) root.focus({ preventScroll: true });
    what();
  }

  // ---- the file -----------------------------------------------------------------------------------------------------
  const cell = (text) => (text === null || text === "" ? "" : `"${text.replaceAll('"', '""')}"`);
  const harmless = (text) => cell(FORMULA.test(text) ? `'${text}` : text);

  function csv() {
    const names = ["pair_id", "is_match", "caption", "shard", "row", "stratum", "stratum_rows", "stratum_drawn"];
    const lines = pairs.map((pair, i) =>
      [
        cell(pair.pair_id), // by which the pair is found again: as it is
        cell(said[i]),
        harmless(pair.caption),
        harmless(pair.shard),
        pair.row ?? "",
        pair.stratum,
        strata[pair.stratum].rows,
        strata[pair.stratum].drawn,
      ].join(","),
    );
    return [names.map(cell).join(","), ...lines, ""].join("\n");
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" })); // the mark says UTF-8
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // slow disks are still reading it
    saved = true;
    part("spoken").textContent = `${name} is downloaded`;
  }

  // ---- beginning ----------------------------------------------------------------------------------------------------
  function firstOpen() {
    const open = said.indexOf("");
    return open < 0 ? pairs.length : open;
  }

  function clear() {
    said = pairs.map(() => "");
    saved = true;
    keep();
    part("clearing").open = false;
    go(0, "All verdicts are cleared. ");
    root.focus();
  }

  function listen() {
    root.addEventListener("keydown", onKey);
    for (const button of root.querySelectorAll("[data-say]")) {
      button.addEventListener("click", (event) => pressed(event, () => judge(button.dataset.say)));
    }
    part("back").addEventListener("click", (event) => pressed(event, () => go(at - 1)));
    part("open").addEventListener("click", (event) => pressed(event, () => go(firstOpen())));
    part("clear").addEventListener("click", clear);
    for (const button of root.querySelectorAll("[data-download]")) button.addEventListener("click", download);
    window.addEventListener("storage", (event) => {
      if (event.key === key) { // judged in another window of this report
        restore();
        show();
      }
    });
    window.addEventListener("beforeunload", (event) => {
      if (!keeps && !saved) event.preventDefault();
    });
  }

  part("ready").hidden = false;
  restore();
  keep();
  listen();
  at = firstOpen();
  show();
  if (root.dataset.alone !== undefined) root.focus({ preventScroll: true });
})();
