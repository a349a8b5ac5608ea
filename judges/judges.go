// Package judges has no code: its tests let others judge vitro. They are a module of their
// own because they need libraries, the kernel, or real programs.
package judges
