// Icons as single paths on a 16 by 16 grid, stroked.

export const ICONS = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  back: "M6 4L2.5 7.5 6 11M3 7.5h6.5a4 4 0 010 8",
  clock: "M8 4.5V8l2.5 1.5M8 14A6 6 0 108 2a6 6 0 000 12z",
  copy: "M6 5.5h6.5v8H6zM3.5 10.5v-8H10",
  alert: "M8 5.5v3.5M8 11.5v.1M8 2l6.5 11.5h-13z",
  arrow: "M2.5 8h11M9.5 4l4 4-4 4",
  sun: "M8 5.2a2.8 2.8 0 100 5.6 2.8 2.8 0 000-5.6M8 1.2v1.4M8 13.4v1.4M1.2 8h1.4M13.4 8h1.4M3.2 3.2l1 1M11.8 11.8l1 1M3.2 12.8l1-1M11.8 4.2l1-1",
  moon: "M13.2 9.8A5.7 5.7 0 016.2 2.8a5.7 5.7 0 107 7z",
  up: "M8 13V3.5M4 7.5l4-4 4 4",
  down: "M8 3v9.5M4 8.5l4 4 4-4",
  pulse: "M1.5 8.5h3L6.5 4l3 8 2-3.5h3",
  flag: "M4 14V2.5h8l-2 3 2 3H4",
  pause: "M5.5 3.5v9M10.5 3.5v9",
};
