// A strip that is pointed at, or has the focus, plays in a larger box above it.
const box = document.getElementById('player'); let timer;
function stop() { clearInterval(timer); box.style.display = 'none'; }
function play(event) {
  const strip = event.target, count = +strip.dataset.frames, place = strip.getBoundingClientRect();
  stop();
  const height = Math.min(260, innerHeight / 2), width = strip.naturalWidth / count * height / strip.naturalHeight;
  const above = place.top > height + 12;
  Object.assign(box.style, { display: 'block', width: width + 'px', height: height + 'px', left: place.left + 'px',
    top: (above ? place.top - height - 10 : place.bottom + 4) + 'px',
    backgroundImage: `url(${strip.src})`, backgroundSize: `${count * 100}% 100%` });
  let frame = 0;
  const show = () => { box.style.backgroundPositionX = -(frame++ % count) * width + 'px'; };
  show(); timer = setInterval(show, 140);
}
for (const strip of document.querySelectorAll('.film img')) {
  for (const name of ['mouseenter', 'focus']) strip.addEventListener(name, play);
  for (const name of ['mouseleave', 'blur']) strip.addEventListener(name, stop);
}
addEventListener('scroll', stop);
