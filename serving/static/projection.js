// Equal Earth (Savric, Patterson, Jenny 2018): areas are true, so no region looks bigger than it is.
const A = [1.340264, -0.081106, 0.000893, 0.003796];
const RAD = Math.PI / 180;
const M = Math.sqrt(3) / 2;

export function project(lon, lat) {
  const t = Math.asin(M * Math.sin(lat * RAD));
  const t2 = t * t;
  const t6 = t2 * t2 * t2;
  const slope = A[0] + 3 * A[1] * t2 + t6 * (7 * A[2] + 9 * A[3] * t2);
  return [(lon * RAD * Math.cos(t)) / (M * slope), -t * (A[0] + A[1] * t2 + t6 * (A[2] + A[3] * t2))];
}

// Points [lon, lat] of the great circle from a to b, ends included.
export function arc(a, b, steps) {
  const [p, q] = [sphere(a), sphere(b)];
  const angle = Math.acos(Math.min(1, Math.max(-1, p[0] * q[0] + p[1] * q[1] + p[2] * q[2])));
  if (angle < 1e-4) return [a, b];
  const points = [];
  for (let i = 0; i <= steps; i += 1) {
    const [f, g] = [Math.sin((1 - i / steps) * angle), Math.sin((i / steps) * angle)].map((x) => x / Math.sin(angle));
    const [x, y, z] = [0, 1, 2].map((axis) => f * p[axis] + g * q[axis]);
    points.push([Math.atan2(y, x) / RAD, Math.atan2(z, Math.hypot(x, y)) / RAD]);
  }
  return points;
}

function sphere([lon, lat]) {
  const c = Math.cos(lat * RAD);
  return [c * Math.cos(lon * RAD), c * Math.sin(lon * RAD), Math.sin(lat * RAD)];
}
