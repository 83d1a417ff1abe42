// Of each of `columns` equal parts the least, the greatest and a NaN, and both ends: as the server thins out
// (downsample.cpp), for what it has thinned out already. Of equal values the first counts as least, the last as greatest.
export function thin(steps, values, columns) {
  const last = steps.length - 1, width = (steps[last] - steps[0]) / columns || 1;
  const kept = new Set([0, last]);
  for (let i = 0; i <= last;) {
    const column = Math.floor((steps[i] - steps[0]) / width);
    let low = -1, high = -1, hole = -1;
    for (; i <= last && Math.floor((steps[i] - steps[0]) / width) === column; i++) {
      const v = values[i];
      if (Number.isNaN(v)) hole = hole < 0 ? i : hole;
      else {
        if (low < 0 || v < values[low]) low = i;
        if (high < 0 || v >= values[high]) high = i;
      }
    }
    [low, high, hole].filter((k) => k >= 0).forEach((k) => kept.add(k));
  }
  const order = [...kept].sort((a, b) => a - b);
  return { steps: Float64Array.from(order, (k) => steps[k]), values: Float64Array.from(order, (k) => values[k]) };
}
