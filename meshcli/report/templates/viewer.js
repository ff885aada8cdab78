// The mesh of a report: to turn around, with the cameras of photos and views around it, and to be seen through each.
// World: glTF's, y up, the object's front on +z. Needs THREE with GLTFLoader (release 140).
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  for (const image of document.querySelectorAll("img[data-from]")) {
    const source = element(image.dataset.from);
    if (source && source.src) image.src = source.src;
    else image.remove();
  }
  const stage = element("stage");
  if (!stage) return;
  const say = (text) => { element("stage-message").textContent = text; };
  if (typeof THREE === "undefined") return say("The viewer is missing from this page.");

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
  } catch (error) {
    return say("This browser shows no 3-D (WebGL is off); the pictures below show the mesh.");
  }
  renderer.outputEncoding = THREE.sRGBEncoding;
  renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
  renderer.autoClear = false;
  stage.prepend(renderer.domElement);

  const FOV = 32, FRUSTUM = { photo: 0.95, view: 0.6 }, NEAR = 0.01, FAR = 1000, PICK = 30, FARTHEST = 16;
  const colour = (hex) => new THREE.Color(hex).convertSRGBToLinear();
  const COLOURS = { photo: colour(0xd9651f), view: colour(0x7a828c) };
  const scene = new THREE.Scene();
  const camera = new THREE.PerspectiveCamera(FOV, 1, NEAR, FAR);
  const lamp = new THREE.DirectionalLight(0xffffff, 0.8);
  lamp.position.set(-0.6, 0.9, 1);
  camera.add(lamp);
  scene.add(camera, new THREE.HemisphereLight(0xffffff, 0x6b6862, 0.55));
  const frusta = new THREE.Group();
  scene.add(frusta);

  const view = { yaw: 0.6, pitch: 0.35, distance: 4, target: new THREE.Vector3() };
  let bounds = new THREE.Sphere(new THREE.Vector3(), 1), meshes = [], looking = null, turning = false, queued = false;

  // --- the mesh -------------------------------------------------------------------------------------------------
  function bytes(text) {
    const decoded = atob(text), array = new Uint8Array(decoded.length);
    for (let place = 0; place < decoded.length; place++) array[place] = decoded.charCodeAt(place);
    return array.buffer;
  }

  function loaded(gltf) {
    gltf.scene.traverse((node) => {
      if (!node.isMesh) return;
      const map = node.material.map, coloured = Boolean(node.geometry.attributes.color) && !map;
      node.userData.looks = {
        texture: new THREE.MeshBasicMaterial({ map, vertexColors: coloured, color: map || coloured ? colour(0xffffff) : colour(0xc8c8c8) }),
        clay: new THREE.MeshStandardMaterial({ color: colour(0xb9b4ac), roughness: 0.85, metalness: 0 }),
        normals: new THREE.MeshNormalMaterial(),
      };
      node.userData.looks.wire = node.userData.looks.clay.clone();
      Object.assign(node.userData.looks.wire, { polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
      const lines = new THREE.Mesh(node.geometry, new THREE.MeshBasicMaterial({ color: colour(0x2b2f36), wireframe: true, transparent: true, opacity: 0.45 }));
      lines.visible = false;
      node.userData.lines = lines;
      node.material = node.userData.looks.texture;
      meshes.push(node);
      if (map && map.image) drawTexture(map.image);
    });
    for (const node of meshes) node.add(node.userData.lines);
    scene.add(gltf.scene);
    new THREE.Box3().setFromObject(gltf.scene).getBoundingSphere(bounds);
    home();
    say("");
    stage.dataset.loaded = "true";
    draw();
  }

  function drawTexture(image) {
    const canvas = element("texture");
    if (!canvas) return;
    const side = Math.min(1024, image.width);
    canvas.width = side;
    canvas.height = Math.round(side * image.height / image.width);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  }

  function show(mode) {
    for (const node of meshes) {
      node.material = node.userData.looks[mode];
      node.userData.lines.visible = mode === "wire";
    }
    for (const button of document.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    draw();
  }

  // --- the cameras ----------------------------------------------------------------------------------------------
  function corner(each, u, v, depth) {
    return new THREE.Vector3((u - each.cx) / each.fx, (each.cy - v) / each.fy, -1).multiplyScalar(depth);
  }

  function addFrustum(each) {
    const group = new THREE.Group(), depth = FRUSTUM[each.kind] * Math.min(each.fx, each.fy) / 1.87;
    const [a, b, c, d] = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([u, v]) => corner(each, u, v, depth));
    const apex = new THREE.Vector3(), points = [apex, a, apex, b, apex, c, apex, d, a, b, b, c, c, d, d, a];
    const lines = new THREE.LineBasicMaterial({ color: COLOURS[each.kind] });
    group.add(new THREE.LineSegments(new THREE.BufferGeometry().setFromPoints(points), lines));
    const geometry = new THREE.BufferGeometry().setFromPoints([d, c, b, d, b, a]);
    geometry.setAttribute("uv", new THREE.Float32BufferAttribute([0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1], 2));
    const picture = element(`${each.kind}-${each.name}`);
    if (picture && picture.src) {
      const canvas = document.createElement("canvas"), texture = new THREE.CanvasTexture(canvas);
      texture.encoding = THREE.sRGBEncoding;
      const ready = () => {  // a canvas, for the size that the page gives the picture is not that of its pixels
        [canvas.width, canvas.height] = [256, Math.max(1, Math.round(256 * picture.naturalHeight / picture.naturalWidth))];
        canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
        texture.needsUpdate = true;
        draw();
      };
      if (picture.complete && picture.naturalWidth) ready(); else picture.addEventListener("load", ready);
      group.add(new THREE.Mesh(geometry, new THREE.MeshBasicMaterial({ map: texture, side: THREE.DoubleSide, transparent: true, alphaTest: 0.02 })));
    }
    group.matrixAutoUpdate = false;
    group.matrix.fromArray(each.pose);
    group.userData = { camera: each, centre: corner(each, 0.5, 0.5, depth) };
    frusta.add(group);
  }

  // The part of the stage that a picture of this camera fills, in pixels from the top-left corner.
  function frameOf(each) {
    const aspect = each.fy / each.fx, width = stage.clientWidth, height = stage.clientHeight;
    const shown = Math.min(width, height * aspect);
    return { width: shown, height: shown / aspect, left: (width - shown) / 2, top: (height - shown / aspect) / 2 };
  }

  function lookThrough(name) {
    looking = data.cameras.find((each) => each.name === name) || null;
    for (const button of document.querySelectorAll("[data-camera]")) {
      button.setAttribute("aria-pressed", String(Boolean(looking) && button.dataset.camera === name));
    }
    const picture = looking && element(`${looking.kind}-${looking.name}`), shown = Boolean(picture && picture.src);
    element("overlay").hidden = !shown;
    element("wipe-label").hidden = !shown;
    if (shown) element("overlay-picture").src = picture.src;
    element("through").textContent = looking
      ? `Through the camera of ${looking.kind} ${looking.name}. Drag, or press Escape, to leave it.`
      : "Click a camera, or a picture below, to look through it.";
    stage.dataset.camera = looking ? looking.name : "";
    if (looking) turn(false);
    draw();
  }

  // --- drawing --------------------------------------------------------------------------------------------------
  function place() {
    const { yaw, pitch, distance, target } = view, flat = Math.cos(pitch);
    camera.position.set(Math.sin(yaw) * flat, Math.sin(pitch), Math.cos(yaw) * flat).multiplyScalar(distance).add(target);
    camera.lookAt(target);
    camera.aspect = stage.clientWidth / Math.max(1, stage.clientHeight);
    camera.near = Math.max(NEAR, distance / 200);
    camera.updateProjectionMatrix();
  }

  function placeThrough(each) {
    const near = NEAR, far = FAR;
    new THREE.Matrix4().fromArray(each.pose).decompose(camera.position, camera.quaternion, camera.scale);
    camera.projectionMatrix.set(
      2 * each.fx, 0, 1 - 2 * each.cx, 0,
      0, 2 * each.fy, 2 * each.cy - 1, 0,
      0, 0, (near + far) / (near - far), 2 * near * far / (near - far),
      0, 0, -1, 0);
    camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  }

  function render() {
    queued = false;
    const width = stage.clientWidth, height = stage.clientHeight;
    if (!width || !height) return;
    let frame = { left: 0, top: 0, width, height };
    if (looking) {
      placeThrough(looking);
      frame = frameOf(looking);
    } else {
      if (turning) view.yaw += 0.012;
      place();
    }
    frusta.visible = !looking && element("show-cameras").getAttribute("aria-pressed") === "true";
    camera.updateMatrixWorld();
    renderer.setScissorTest(false);
    renderer.clear();
    renderer.setViewport(frame.left, height - frame.top - frame.height, frame.width, frame.height);
    renderer.setScissor(frame.left, height - frame.top - frame.height, frame.width, frame.height);
    renderer.setScissorTest(true);
    renderer.render(scene, camera);
    const overlay = element("overlay"), share = Number(element("wipe").value);
    Object.assign(overlay.style, { left: `${frame.left}px`, top: `${frame.top}px`, width: `${frame.width}px`, height: `${frame.height}px` });
    overlay.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    overlay.style.setProperty("--share", `${share}%`);
    if (turning) draw();
  }

  function draw() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(render);
  }

  function resize() {
    renderer.setSize(stage.clientWidth, stage.clientHeight);
    draw();
  }

  function home() {
    const cameras = element("show-cameras").getAttribute("aria-pressed") === "true";
    view.target.copy(bounds.center);
    view.yaw = 0.6;
    view.pitch = cameras ? 0.45 : 0.3;
    const points = cameras ? data.cameras.map((each) => new THREE.Vector3(...each.pose.slice(12, 15))) : [];
    view.distance = bounds.radius * 1.1;
    do {
      view.distance *= 1.04;
      place();
      camera.updateMatrixWorld();
    } while (!fits(points) && view.distance < bounds.radius * FARTHEST / Math.min(1, camera.aspect));
    lookThrough("");
  }

  // Whether the object and these points are inside the picture, with a margin.
  function fits(points) {
    const half = Math.tan(FOV * Math.PI / 360) * Math.min(1, camera.aspect);
    const whole = Math.asin(Math.min(1, bounds.radius / view.distance)) < Math.atan(half * 0.97);
    return whole && points.every((point) => {
      const seen = point.clone().project(camera);
      return seen.z < 1 && Math.abs(seen.x) < 0.93 && Math.abs(seen.y) < 0.9;
    });
  }

  function turn(on) {
    turning = on;
    element("turning").setAttribute("aria-pressed", String(on));
    draw();
  }

  // --- hands ----------------------------------------------------------------------------------------------------
  // From the camera that is looked through, on to the nearest view around the object.
  function leave() {
    if (!looking) return;
    const offset = new THREE.Vector3(...looking.pose.slice(12, 15)).sub(view.target);
    view.distance = offset.length();
    view.yaw = Math.atan2(offset.x, offset.z);
    view.pitch = Math.asin(Math.max(-0.999, Math.min(0.999, offset.y / view.distance)));
    lookThrough("");
  }

  function rotate(x, y) {
    leave();
    view.yaw -= x;
    view.pitch = Math.max(-1.55, Math.min(1.55, view.pitch + y));
    draw();
  }

  function zoom(factor) {
    leave();
    view.distance = Math.max(bounds.radius * 0.3, Math.min(bounds.radius * 60, view.distance * factor));
    draw();
  }

  function pan(x, y) {
    leave();
    const scale = 2 * view.distance * Math.tan(FOV * Math.PI / 360) / stage.clientHeight;
    const right = new THREE.Vector3().setFromMatrixColumn(camera.matrixWorld, 0);
    const up = new THREE.Vector3().setFromMatrixColumn(camera.matrixWorld, 1);
    view.target.addScaledVector(right, -x * scale).addScaledVector(up, y * scale);
    draw();
  }

  function cameraAt(x, y) {
    if (looking || !frusta.visible) return null;
    let best = null, nearest = PICK;
    for (const group of frusta.children) {
      const point = group.userData.centre.clone().applyMatrix4(group.matrix).project(camera);
      if (point.z > 1) continue;
      const away = Math.hypot((point.x + 1) / 2 * stage.clientWidth - x, (1 - point.y) / 2 * stage.clientHeight - y);
      if (away < nearest) [best, nearest] = [group.userData.camera, away];
    }
    return best;
  }

  const fingers = new Map();
  let travelled = 0, spread = 0;
  const inside = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  stage.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    stage.setPointerCapture(event.pointerId);
    if (fingers.size === 1) travelled = 0;
    spread = 0;
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) {
      const found = cameraAt(...inside(event));
      stage.style.cursor = found ? "pointer" : "";
      stage.title = found ? `${found.kind} ${found.name}` : "";
      return;
    }
    const x = event.clientX - before[0], y = event.clientY - before[1];
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    travelled += Math.abs(x) + Math.abs(y);
    if (travelled < 4) return;
    if (fingers.size === 2) {
      const [one, other] = [...fingers.values()], now = Math.hypot(one[0] - other[0], one[1] - other[1]);
      if (spread) zoom(spread / Math.max(now, 1));
      spread = now;
      pan(x / 2, y / 2);
    } else if (event.shiftKey || event.buttons & 6) pan(x, y);
    else rotate(x * 0.008, y * 0.008);
  });
  const release = (event) => {
    const clicked = fingers.delete(event.pointerId) && event.type === "pointerup" && travelled < 4;
    const found = clicked && cameraAt(...inside(event));
    if (found) lookThrough(found.name);
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004));
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => rotate(0.12, 0), ArrowRight: () => rotate(-0.12, 0), ArrowUp: () => rotate(0, 0.12),
      ArrowDown: () => rotate(0, -0.12), "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1.1), Escape: leave,
    };
    if (keys[event.key] && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => show(button.dataset.mode));
  for (const button of document.querySelectorAll("[data-camera]")) {
    button.addEventListener("click", () => lookThrough(stage.dataset.camera === button.dataset.camera ? "" : button.dataset.camera));
  }
  element("show-cameras").addEventListener("click", (event) => {
    const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(on));
    home();
  });
  element("turning").addEventListener("click", () => { leave(); turn(!turning); });
  element("home").addEventListener("click", home);
  element("wipe").addEventListener("input", draw);
  new ResizeObserver(resize).observe(stage);

  data.cameras.forEach(addFrustum);
  resize();
  say("Reading the mesh ...");
  const broken = (error) => say(`The mesh cannot be shown: ${error.message || error}`);
  try {
    new THREE.GLTFLoader().parse(bytes(data.glb), "", loaded, broken);
  } catch (error) {  // what is no glTF at all
    broken(error);
  }
})();
