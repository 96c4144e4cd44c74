// The page that plays: models of the zoo as ONNX, run by onnxruntime-web where the page is.
// Everything comes from the page's own folder. manifest.json says which models there are, and each
// panel appears where a model can do what it shows.
"use strict";
(() => {
  const root = document.getElementById("zoo-play");
  if (!root) return;
  const base = new URL(root.dataset.base || "./", document.baseURI).href;
  const state = { manifest: null, sessions: new Map(), loaded: new Map(), attributes: {}, seconds: 0, queue: Promise.resolve() };

  // Elements

  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value === true) node.setAttribute(key, "");
      else if (value !== false && value !== null) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const canvas = (side, kind, label, extra = {}) =>
    el("canvas", { width: side, height: side, class: kind, role: "img", "aria-label": label, ...extra });
  const figure = (node, caption) => el("figure", {}, node, el("figcaption", {}, caption));
  const slider = (label, min, max, step, value, oninput) => {
    const shown = el("output", {}, String(value));
    const input = el("input", { type: "range", min, max, step, value, "aria-label": label,
      oninput: () => { shown.textContent = input.value; oninput(Number(input.value)); } });
    return el("label", {}, `${label} `, input, " ", shown);
  };
  const choice = (label, options, onchange) => {
    const select = el("select", { "aria-label": label, onchange: () => onchange(select.value) },
      ...options.map(([value, text]) => el("option", { value }, text)));
    return select;
  };

  // Pictures: values in [0, 1], (C, H, W) flat

  const paint = (target, values, [C, H, W], offset = 0) => {
    target.width = W;
    target.height = H;
    const image = new ImageData(W, H);
    for (let p = 0; p < H * W; p++) {
      for (let c = 0; c < 3; c++) {
        const value = values[offset + (C === 3 ? c : 0) * H * W + p];
        image.data[4 * p + c] = 255 * Math.min(1, Math.max(0, value));
      }
      image.data[4 * p + 3] = 255;
    }
    target.getContext("2d").putImageData(image, 0, 0);
  };
  // Blue, through white, to red: what is less, or more, surprising than a fair coin
  const paintHeat = (target, nats, H, W) => {
    target.width = W;
    target.height = H;
    const image = new ImageData(W, H);
    for (let p = 0; p < H * W; p++) {
      const heat = Math.min(1, nats[p] / 4);
      image.data.set([255 * Math.min(1, 2 * heat), 255 * Math.max(0, 2 * heat - 1), 60 + 100 * (1 - heat), 255], 4 * p);
    }
    target.getContext("2d").putImageData(image, 0, 0);
  };

  // Models

  const functionOf = (name, fn) => state.manifest.models[name]?.functions[fn];
  // What the command calls it: a run's path where it is not the name on the page
  const typed = (name) => state.manifest.models[name]?.typed ?? name;
  const having = (...fns) => Object.keys(state.manifest.models).filter((name) => fns.every((fn) => functionOf(name, fn)));

  const fetched = async (url, bytes, progress) => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const parts = [];
    let got = 0;
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      got += value.length;
      progress(got / bytes);
    }
    const whole = new Uint8Array(got);
    let at = 0;
    for (const part of parts) { whole.set(part, at); at += part.length; }
    return whole;
  };

  const status = el("div", { class: "zp-status", role: "status", "aria-live": "polite" });
  const bar = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "what is being loaded" });
  const loading = async (what, bytes, url) => {
    bar.hidden = false;
    status.textContent = `Loading ${what}, ${(bytes / 1e6).toFixed(1)} MB`;
    const content = await fetched(url, bytes, (share) => { bar.value = share; });
    bar.hidden = true;
    status.textContent = "";
    return content;
  };

  const script = (url) => new Promise((resolve, reject) => {
    document.head.append(el("script", { src: url, onload: resolve, onerror: () => reject(new Error(`no ${url}`)) }));
  });
  let starting = null;
  const start = () => (starting ??= (async () => {
    status.textContent = `Loading onnxruntime-web, ${(state.manifest.runtime.bytes / 1e6).toFixed(1)} MB`;
    await script(`${base}ort/ort.wasm.min.js`);
    ort.env.wasm.wasmPaths = `${base}ort/`;
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    status.textContent = "";
  })());

  // One after another: what a panel asks for waits for what another has begun
  const session = (name, fn) => {
    const key = `${name} ${fn}`;
    if (!state.sessions.has(key)) {
      const opened = state.queue.then(async () => {
        const began = performance.now();
        await start();
        const { file, bytes } = functionOf(name, fn);
        const content = await loading(`${name}: ${fn}`, bytes, `${base}models/${file}`);
        const made = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
        state.loaded.set(key, performance.now() - began);
        return made;
      });
      state.queue = opened.catch(() => {});
      state.sessions.set(key, opened);
    }
    return state.sessions.get(key);
  };
  const tensor = (value, data, shape) => value.dtype === "int64"
    ? new ort.Tensor("int64", BigInt64Array.from(data, (v) => BigInt(Math.round(v))), shape)
    : new ort.Tensor("float32", Float32Array.from(data), shape);

  // Runs wait for each other: a session takes one at a time
  let running = Promise.resolve();
  const run = async (name, fn, inputs) => {
    const opened = await session(name, fn);
    const described = functionOf(name, fn);
    const feeds = {};
    described.inputs.forEach((value, i) => {
      feeds[value.name] = inputs[i] instanceof ort.Tensor ? inputs[i] : tensor(value, ...inputs[i]);
    });
    const done = running.then(() => opened.run(feeds));
    running = done.catch(() => {});
    const outputs = await done;
    return described.outputs.map((value) => outputs[value.name]);
  };

  const sizes = (shape, n) => shape.map((size) => (size === "n" ? n : size));
  const sigmoid = (l) => 1 / (1 + Math.exp(-l));
  const softplus = (l) => (l > 0 ? l + Math.log1p(Math.exp(-l)) : Math.log1p(Math.exp(l)));
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const noise = (n) => Array.from({ length: n }, normal);

  // A walk in a model's order over n images at once: begin(t, logits) chooses the values, (n,)
  const walk = async (name, n, choose) => {
    const described = functionOf(name, "step");
    const order = state.manifest.models[name].model.order;
    await session(name, "step");
    const first = described.inputs.length - described.state;
    let carried = described.inputs.slice(first).map((value) => {
      const shape = sizes(value.shape, n);
      return tensor(value, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
    });
    let values = new Float32Array(n);
    for (let t = 0; t < order.length; t++) {
      const [logits, ...after] = await run(name, "step", [[[t], []], [values, [n]], ...carried]);
      carried = after;
      values = await choose(t, order[t], logits.data);
      if (values === null) return;
    }
  };
  // log p of each variable of a binary image, at its own place
  const conditionals = async (name, x) => {
    const shape = state.manifest.models[name].model.event_shape;
    if (functionOf(name, "conditionals")) {
      const [log_p] = await run(name, "conditionals", [[x, [1, ...shape]]]);
      return Float32Array.from(log_p.data);
    }
    const log_p = new Float32Array(x.length);
    await walk(name, 1, (t, place, logits) => {
      log_p[place] = x[place] * logits[0] - softplus(logits[0]);
      return Float32Array.of(x[place]);
    });
    return log_p;
  };

  // Panels

  const shown = new Set();  // the models that some panel runs
  // command: a text, or a function that gives it and is asked again after each change
  const panel = (title, what, command, ...content) => {
    const code = el("code"), text = typeof command === "function" ? command : () => command;
    const write = () => { code.textContent = text(); };
    root.append(el("section", { onchange: write, oninput: write, onclick: write },
      el("h2", { id: title.toLowerCase().replace(/\W+/g, "-") }, title),
      el("p", { class: "zp-what" }, what), ...content,
      el("p", { class: "zp-what" }, "The same by command: ", code)));
    write();
  };
  // What is asked for while a picture is computed is computed next; of several, the last one
  const latest = (work) => {
    let busyNow = false, again = false;
    return async () => {
      if (busyNow) { again = true; return; }
      busyNow = true;
      try { do { again = false; await work(); } while (again); }
      catch (error) { status.textContent = String(error.message || error); throw error; }
      finally { busyNow = false; }
    };
  };
  const busy = (button, work) => async () => {
    button.disabled = true;
    try { await work(); } catch (error) { status.textContent = String(error.message || error); throw error; }
    finally { button.disabled = false; }
  };
  const action = (label, work) => {
    const button = el("button", { type: "button" }, label);
    button.addEventListener("click", busy(button, work));
    return button;
  };

  const drawing = () => {
    const side = 28, x = new Float32Array(side * side);
    const digits = (name) => {
      const model = state.manifest.models[name].model;
      return String(model.event_shape) === "1,28,28" && model.levels === 2;
    };
    const explicit = Object.keys(state.manifest.models).filter((name) =>
      digits(name) && (functionOf(name, "conditionals") || functionOf(name, "step")));
    const both = having("encode", "decode").filter((name) =>
      String(state.manifest.models[name].model.event_shape) === "1,28,28");
    const walkers = having("step").filter(digits);
    if (!explicit.length && !both.length) return;
    [...explicit, ...both].forEach((name) => shown.add(name));
    let cursor = null;
    const board = canvas(side, "zp-draw", "a grid of 28 by 28 pixels to draw a digit on", { tabindex: 0, role: "application" });
    const show = () => {
      paint(board, x, [1, side, side]);
      if (cursor !== null) {
        const context = board.getContext("2d");
        context.fillStyle = x[cursor] ? "#c33" : "#f66";
        context.fillRect(cursor % side, Math.floor(cursor / side), 1, 1);
      }
    };
    const ink = (event) => {
      const box = board.getBoundingClientRect();
      const px = ((event.clientX - box.left) / box.width) * side, py = ((event.clientY - box.top) / box.height) * side;
      for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {
        const i = Math.floor(py) + dy, j = Math.floor(px) + dx;
        if (i >= 0 && j >= 0 && i < side && j < side && Math.hypot(i + 0.5 - py, j + 0.5 - px) < 1.1) x[i * side + j] = 1;
      }
      show();
    };
    let down = false;
    board.addEventListener("pointerdown", (event) => { down = true; cursor = null; board.setPointerCapture(event.pointerId); ink(event); });
    board.addEventListener("pointermove", (event) => { if (down) ink(event); });
    board.addEventListener("pointerup", () => { down = false; });
    board.addEventListener("blur", () => { cursor = null; show(); });
    board.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -side, ArrowDown: side };
      if (event.key in moves) cursor = ((cursor ?? 14 * side + 14) + moves[event.key] + side * side) % (side * side);
      else if (event.key === " ") x[cursor ??= 14 * side + 14] = 1 - x[cursor];
      else if (event.key === "Delete" || event.key === "Backspace") x.fill(0);
      else return;
      event.preventDefault();
      show();
    });
    const rows = el("tbody");
    const heat = canvas(side, "zp-small", "nats of each pixel");
    const rest = Array.from({ length: 4 }, (_, i) => canvas(side, "zp-small", `completion ${i + 1}`));
    const again = both.map((name) => [name, canvas(side, "zp-small", `the drawing as ${name} decodes it`)]);
    const score = async () => {
      rows.replaceChildren();
      for (const name of explicit) {
        const cell = el("td", {}, "…");
        rows.append(el("tr", {}, el("td", {}, name), cell));
        const log_p = await conditionals(name, x);
        cell.textContent = (-log_p.reduce((a, b) => a + b, 0)).toFixed(2);
      }
    };
    let heated = explicit[0], by = walkers[0];
    const explain = async () => {
      paintHeat(heat, (await conditionals(heated, x)).map((v) => -v), side, side);
    };
    const complete = async () => {
      const n = rest.length, D = side * side, drawn = new Float32Array(n * D);
      await walk(by, n, (t, place, logits) => {
        const values = new Float32Array(n);
        for (let i = 0; i < n; i++) {
          values[i] = place < D / 2 ? x[place] : Number(Math.random() < sigmoid(logits[i]));
          drawn[i * D + place] = values[i];
        }
        if (t % (2 * side) === 2 * side - 1) {
          rest.forEach((target, i) => paint(target, drawn, [1, side, side], i * D));
          return new Promise((resolve) => setTimeout(resolve, 0, values));
        }
        return values;
      });
    };
    const reconstruct = async () => {
      for (const [name, target] of again) {
        const [z] = await run(name, "encode", [[x, [1, 1, side, side]]]);
        const [y] = await run(name, "decode", [z]);
        paint(target, y.data, [1, side, side]);
      }
    };
    const names = (list) => list.map((name) => [name, name]);
    panel("Draw a digit",
      "Draw with mouse or finger, or with the arrow keys, space and delete. Each explicit model says how probable the drawing is: −log p in nats, the lower the more probable. A test digit takes about 80 to 100.",
      `zoo run ${typed(explicit[0] ?? both[0])} --task ${explicit.length ? "score" : "bounds"} --input digit.png`,
      el("div", { class: "zp-row" }, board,
        el("div", {},
          action("Clear", async () => { x.fill(0); show(); }),
          ...(walkers.length ? [action("A sample", async () => {
            await walk(walkers[0], 1, (t, place, logits) => {
              x[place] = Number(Math.random() < sigmoid(logits[0]));
              return Float32Array.of(x[place]);
            });
            show();
          })] : []),
          action("Nats by each model", score),
          el("table", { class: "zp-nats" }, el("thead", {}, el("tr", {}, el("th", {}, "model"), el("th", {}, "nats"))), rows))));
    if (explicit.length) panel("Where it is surprising",
      "The nats of each pixel given those before it, from blue (expected) to yellow (four nats and more).",
      () => `zoo run ${typed(heated)} --task explain --input digit.png -o heat.png`,
      choice("model of the heat map", names(explicit), (name) => { heated = name; }), action("Explain", explain),
      el("div", { class: "zp-row" }, figure(heat, "−log p(xᵢ | x before i)")));
    if (walkers.length) panel("Complete the rest",
      "The upper half of the drawing is kept; the lower half is sampled four times from its exact conditional, pixel by pixel.",
      () => `zoo run ${typed(by)} --task complete --keep top --input digit.png`,
      choice("model that completes", names(walkers), (name) => { by = name; }), action("Complete", complete),
      el("div", { class: "zp-row" }, ...rest.map((target, i) => figure(target, String(i + 1)))));
    if (both.length) panel("Reconstruct",
      "The drawing goes through an encoder to a few latent variables, and back through a decoder.",
      `zoo run ${typed(both[0])} --task reconstruct --input digit.png`,
      action("Reconstruct", reconstruct),
      el("div", { class: "zp-row" }, ...again.map(([name, target]) => figure(target, name))));
    show();
  };

  const slowly = () => {
    const walkers = having("step").filter((name) => {
      const { event_shape: shape, levels } = state.manifest.models[name].model;
      return shape.length === 3 && shape[0] === 1 && levels === 2;
    });
    if (!walkers.length) return;
    walkers.forEach((name) => shown.add(name));
    let by = walkers[0], speed = 30, going = 0;
    const picture = canvas(28, "zp-big", "the sample so far"), chance = canvas(28, "zp-big", "probabilities so far");
    const next = el("div", { class: "zp-status" });
    const draw = async () => {
      const turn = ++going;
      const [C, H, W] = state.manifest.models[by].model.event_shape;
      const x = new Float32Array(C * H * W), p = new Float32Array(C * H * W);
      await walk(by, 1, (t, place, logits) => {
        if (turn !== going) return null;
        p[place] = sigmoid(logits[0]);
        x[place] = Number(Math.random() < p[place]);
        const values = Float32Array.of(x[place]);
        if (t % speed && t !== x.length - 1) return values;
        paint(picture, x, [C, H, W]);
        paint(chance, p, [C, H, W]);
        next.textContent = `pixel ${t + 1} of ${x.length}: p(on) = ${p[place].toFixed(3)}, so it is ${x[place] ? "on" : "off"}`;
        return new Promise((resolve) => setTimeout(resolve, 16, values));
      });
    };
    const stop = el("button", { type: "button", onclick: () => { going++; } }, "Stop");
    panel("Pixel by pixel",
      "Ancestral sampling in slow motion: each pixel is sampled from its probability given all pixels before it.",
      () => `zoo run ${typed(by)} -n 1`,
      choice("model that samples", walkers.map((name) => [name, name]), (name) => { by = name; }),
      slider("pixels a frame", 1, 56, 1, speed, (value) => { speed = value; }),
      action("Sample", draw), stop,
      el("div", { class: "zp-row" }, figure(picture, "the sample"), figure(chance, "p(on) of each pixel")), next);
  };

  const planes = () => having("decode").filter((name) => {
    const { event_shape: shape, latent_dim: D } = state.manifest.models[name].model;
    return D === 2 && shape.length === 3;
  }).forEach((name, i) => {
    shown.add(name);
    const shape = state.manifest.models[name].model.event_shape;
    const pad = canvas(60, "zp-big", "the plane of two latents; arrow keys move the point", { tabindex: 0, role: "application" });
    const picture = canvas(28, "zp-big", "the decoded digit");
    const where = el("div", { class: "zp-status" });
    let z = [0, 0];
    const decode = latest(async () => {
      const [x] = await run(name, "decode", [[z, [1, 2]]]);
      paint(picture, x.data, shape);
    });
    const show = () => {
      const context = pad.getContext("2d");
      context.clearRect(0, 0, 60, 60);
      context.fillStyle = "#456";
      context.fillRect(0, 30, 60, 1);
      context.fillRect(30, 0, 1, 60);
      context.fillStyle = "#fc3";
      context.fillRect(29 + z[0] * 10, 29 - z[1] * 10, 3, 3);
      where.textContent = `z = (${z[0].toFixed(2)}, ${z[1].toFixed(2)})`;
      decode();
    };
    const at = (event) => {
      const box = pad.getBoundingClientRect();
      z = [((event.clientX - box.left) / box.width - 0.5) * 6, (0.5 - (event.clientY - box.top) / box.height) * 6];
      show();
    };
    pad.addEventListener("pointermove", at);
    pad.addEventListener("pointerdown", at);
    pad.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
      if (!(event.key in moves)) return;
      event.preventDefault();
      z = z.map((value, i) => Math.min(3, Math.max(-3, value + moves[event.key][i])));
      show();
    });
    panel(i ? `A plane of two latents (${name})` : "A plane of digits",
      "Two latent variables, each from −3 to 3: the decoder turns the point under the pointer into a digit.",
      `zoo run ${typed(name)} --task manifold`,
      el("div", { class: "zp-row" }, figure(pad, "z₁ to the right, z₂ up"), figure(picture, "its mean image")), where);
  });

  const codes = () => {
    const name = "infogan.mnist";
    if (!functionOf(name, "decode")) return;
    const { event_shape: shape, latent_dim: D, classes: K } = state.manifest.models[name].model;
    shown.add(name);
    const C = 2, Z = D - K - C;
    const picture = canvas(28, "zp-big", "the generated digit");
    const c = [0, 0];
    let category = 0, z = Array.from({ length: Z }, () => 2 * Math.random() - 1);
    const show = latest(async () => {
      const one = Array.from({ length: K }, (_, k) => Number(k === category));
      const [x] = await run(name, "decode", [[[...z, ...one, ...c], [1, D]]]);
      paint(picture, x.data, shape);
    });
    panel("Codes that nobody taught",
      "InfoGAN: a category and two codes, found without labels, and noise that varies the rest.",
      `zoo run ${typed(name)} --task traverse`,
      slider("category", 0, K - 1, 1, 0, (value) => { category = value; show(); }),
      slider("code 1", -2, 2, 0.1, 0, (value) => { c[0] = value; show(); }),
      slider("code 2", -2, 2, 0.1, 0, (value) => { c[1] = value; show(); }),
      action("Other noise", async () => { z = z.map(() => 2 * Math.random() - 1); await show(); }),
      el("div", { class: "zp-row" }, figure(picture, name)));
  };

  // What attributes add to latents: differences of means over labelled rows, by Python
  const attributes = () => {
    for (const [name, { latents, directions }] of Object.entries(state.attributes)) {
      if (!functionOf(name, "decode")) continue;
      shown.add(name);
      const shape = state.manifest.models[name].model.event_shape;
      const picture = canvas(shape[2], "zp-big", "the decoded face");
      const chosen = {}, reach = {};
      let face = 0, along = Object.keys(directions)[0];
      const show = latest(async () => {
        const z = latents[face].map((value, i) => Object.keys(directions).reduce(
          (sum, key) => sum + reach[key] * directions[key][chosen[key]][i], value));
        const [x] = await run(name, "decode", [[z, [1, z.length]]]);
        paint(picture, x.data, shape);
      });
      const controls = Object.entries(directions).map(([key, values]) => {
        const words = key.replace("_", " "), names = Object.keys(values);
        chosen[key] = names[0];
        reach[key] = 0;
        return el("div", {}, choice(words, names.map((value) => [value, `${words}: ${value}`]), (value) => { along = key; chosen[key] = value; show(); }),
          slider(`towards this ${words}`, -1, 2, 0.1, 0, (value) => { along = key; reach[key] = value; show(); }));
      });
      panel(`Attributes (${name})`,
        "Arithmetic of latents: what faces of an attribute have beside all others, a difference of means of their latents, is added to one face, up to twice.",
        () => `zoo run ${typed(name)} --task traverse --along ${along}`,
        action("Another face", async () => { face = (face + 1) % latents.length; await show(); }),
        el("div", { class: "zp-row" }, figure(picture, name), el("div", {}, ...controls)));
    }
  };

  const prompts = () => {
    for (const name of having("read", "decode")) {
      shown.add(name);
      const { event_shape: shape, latent_dim: D } = state.manifest.models[name].model;
      const [tokens] = functionOf(name, "read").inputs, [code] = functionOf(name, "read").outputs;
      const length = tokens.shape[1], Z = D - code.shape[1], n = 4;
      const { data, model: { alphabet } } = state.manifest.models[name];
      const first = String(data).startsWith("faces") ? "a person with long wavy red hair, a laugh and a green shirt" : "smiling face";
      const text = el("input", { type: "text", value: first, maxlength: length, "aria-label": `text for ${name}` });
      const pictures = Array.from({ length: n }, (_, i) => canvas(shape[2], "zp-small", `image ${i + 1} of the text`));
      const note = el("div", { class: "zp-status", role: "status" });
      const draw = async () => {
        // As Python reads it: lower case, and blanks for punctuation that the alphabet lacks
        const words = (alphabet === alphabet.toLowerCase() ? text.value.toLowerCase() : text.value)
          .replace(/[!-/:-@[-`{-~]/g, (mark) => (alphabet.includes(mark) ? mark : " ")).split(/\s+/).filter(Boolean).join(" ");
        const other = [...new Set(words)].filter((character) => !alphabet.includes(character));
        if (!words || other.length) {
          note.textContent = words ? `${name} does not read ${other.join(" ")}; it reads “${alphabet}”` : "the text is empty";
          return;
        }
        note.textContent = "";
        const places = Array.from({ length }, (_, i) => (i < words.length ? alphabet.indexOf(words[i]) + 1 : 0));
        const [read] = await run(name, "read", [[places, [1, length]]]);
        const z = pictures.flatMap(() => [...noise(Z), ...read.data]);
        const [x] = await run(name, "decode", [[z, [n, D]]]);
        pictures.forEach((target, i) => paint(target, x.data, shape, i * shape[0] * shape[1] * shape[2]));
      };
      text.addEventListener("keydown", (event) => { if (event.key === "Enter") draw(); });
      panel(`From a text (${name})`, "A generator conditioned on a text prompt: the text becomes a code, and each image has noise of its own.",
        () => `zoo run ${typed(name)} -n 4 --prompt "${text.value.replaceAll('"', "")}"`, text, action("Draw", draw), note,
        el("div", { class: "zp-row" }, ...pictures.map((target, i) => figure(target, String(i + 1)))));
    }
  };

  const growing = () => {
    for (const name of having("growth")) {
      shown.add(name);
      const described = functionOf(name, "growth"), D = described.inputs[0].shape[1];
      const pictures = described.outputs.map((value) => canvas(value.shape[2], "zp-small", `${value.shape[2]} pixels a side`));
      const grow = async () => {
        const images = await run(name, "growth", [[noise(D), [1, D]]]);
        images.forEach((image, i) => paint(pictures[i], image.data, image.dims.slice(1)));
      };
      panel(`Growth (${name})`, "A progressive GAN draws one latent at each of its resolutions.", `zoo run ${typed(name)} --task growth`,
        action("Another latent", grow),
        el("div", { class: "zp-row" }, ...pictures.map((target, i) => figure(target, `${described.outputs[i].shape[2]} × ${described.outputs[i].shape[2]}`))));
    }
  };

  const translating = () => {
    for (const [name, model] of Object.entries(state.manifest.models)) {
      const single = Object.keys(model.functions).filter((fn) => fn.startsWith("translate-"));
      const domains = functionOf(name, "translate") ? model.model.domains : single.map((fn) => fn.slice(10));
      if (!domains.length) continue;
      shown.add(name);
      const shape = model.model.event_shape, [C, H, W] = shape, ofFaces = String(model.data).startsWith("faces");
      const given = canvas(W, "zp-big", "the picture to translate"), target = canvas(W, "zp-big", "the translated picture");
      let x = null, to = 0, samples = 0;
      const translate = async () => {
        const image = [x, [1, ...shape]];
        const [y] = functionOf(name, "translate") ? await run(name, "translate", [image, [[to], [1]]]) : await run(name, single[to], [image]);
        paint(target, y.data, shape);
      };
      const take = (draw) => {
        const context = el("canvas", { width: W, height: H }).getContext("2d");
        context.fillStyle = "#fff";
        context.fillRect(0, 0, W, H);
        context.fillStyle = "#000";
        draw(context);
        const { data } = context.getImageData(0, 0, W, H);
        x = Float32Array.from({ length: C * H * W }, (_, i) => data[4 * (i % (H * W)) + Math.floor(i / (H * W))] / 255);
        paint(given, x, shape);
      };
      const open = async (file) => {
        const bitmap = await createImageBitmap(file);
        take((context) => context.drawImage(bitmap, 0, 0, W, H));
        await translate();
      };
      const sample = async () => {
        const which = samples++;
        if (ofFaces) {
          const row = await createImageBitmap(await (await fetch(`${base}faces.png`)).blob()), side = row.height;
          take((context) => context.drawImage(row, side * (which % (row.width / side)), 0, side, side, 0, 0, W, H));
        } else take((context) => {
          context.font = `${H - 14}px sans-serif`;
          context.textAlign = "center";
          context.textBaseline = "middle";
          context.fillText(["😀", "🐱", "🍎", "⭐"][which % 4], W / 2, H / 2 + 4);
        });
      };
      const said = (work) => work.catch((error) => { status.textContent = String(error.message || error); });
      const file = el("input", { type: "file", accept: "image/*", "aria-label": `picture for ${name}`,
        onchange: () => file.files[0] && said(open(file.files[0])) });
      const zone = el("div", { class: "zp-row", ondragover: (event) => event.preventDefault(),
        ondrop: (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) said(open(event.dataTransfer.files[0])); } },
        figure(given, "given"), figure(target, name));
      panel(`Translation (${name})`,
        "Choose a picture or drop one here: the generator draws it as the chosen domain would have it. It stays on this machine."
          + (ofFaces ? " The domains are colours of hair; the faces are a remix of ToonHead by Johan Melin, CC BY 4.0." : ""),
        () => `zoo run ${typed(name)} --task translate --to ${domains[to]} --input picture.png`,
        file,
        action(ofFaces ? "Another face" : "Another emoji of this machine", async () => { await sample(); await translate(); }),
        choice(`domain of ${name}`, domains.map((domain, i) => [i, domain]), (value) => { to = Number(value); said(translate()); }),
        action("Translate", translate), zone);
      said(sample());
    }
  };

  // Any other decoder: what it makes of latents that Python sampled from the model's prior
  const generating = () => {
    for (const name of having("decode")) {
      const { event_shape: shape, latent_dim: D, latents } = state.manifest.models[name].model;
      const image = shape.length === 3 && (shape[0] === 1 || shape[0] === 3);
      if (shown.has(name) || !image || !latents) continue;
      shown.add(name);
      const n = 4;
      let first = 0;
      const pictures = Array.from({ length: n }, (_, i) => canvas(shape[2], "zp-small", `image ${i + 1} of ${name}`));
      const draw = async () => {
        const z = pictures.flatMap((_, i) => latents[(first + i) % latents.length]);
        first += n;
        const [x] = await run(name, "decode", [[z, [n, D]]]);
        pictures.forEach((target, i) => paint(target, x.data, shape, i * shape[0] * shape[1] * shape[2]));
      };
      panel(`Samples (${name})`, `The decoder turns latents into images; ${latents.length} latents were sampled from the model's prior.`,
        `zoo run ${typed(name)} -n ${n}`, action("Sample", draw),
        el("div", { class: "zp-row" }, ...pictures.map((target, i) => figure(target, String(i + 1)))));
    }
  };
  const others = () => {
    for (const [name, { functions }] of Object.entries(state.manifest.models)) {
      if (shown.has(name)) continue;
      root.append(el("p", { class: "zp-what" }, `${name} is exported, as ${Object.keys(functions).join(", ")}, `
        + "but no panel of this page is for what it can do: "), el("code", {}, `zoo export ${typed(name)}`));
    }
  };

  // What Python computed, computed again: the greatest |y − ŷ| / (1 + |ŷ|) of each function
  const check = async () => {
    const wanted = await (await fetch(`${base}check.json`)).json(), off = {};
    await start();
    for (const [name, functions] of Object.entries(wanted)) {
      for (const [fn, [inputs, outputs]] of Object.entries(functions)) {
        const given = await run(name, fn, inputs.map(({ values, shape }) => [values, shape]));
        off[`${name} ${fn}`] = Math.max(...given.map((y, i) => {
          let most = y.dims.join() === outputs[i].shape.join() ? 0 : Infinity;
          outputs[i].values.forEach((value, k) => { most = Math.max(most, Math.abs(Number(y.data[k]) - value) / (1 + Math.abs(value))); });
          return Number.isNaN(most) ? Infinity : most;
        }));
      }
    }
    return off;
  };

  const begin = async () => {
    root.classList.add("zoo-play");
    const answer = await fetch(`${base}manifest.json`);
    state.manifest = await answer.json();
    if (!state.manifest.runtime || !Object.keys(state.manifest.models).length) {
      root.append(el("p", { class: "zp-what" }, "This copy of the page was built without models or without onnxruntime-web, so that nothing plays here; the build's output says why."));
      return;
    }
    state.attributes = await (await fetch(`${base}attributes.json`)).json();
    root.append(el("p", { class: "zp-what" },
      `${Object.keys(state.manifest.models).length} models, ${(state.manifest.bytes / 1e6).toFixed(1)} MB; each is loaded when it is first used. All runs in this browser, by onnxruntime-web ${state.manifest.runtime.version}: nothing is sent anywhere.`), bar, status);
    for (const make of [drawing, slowly, planes, codes, attributes, prompts, translating, growing, generating, others]) make();
  };
  window.zooPlay = { check, run, state, ready: begin() };
})();
