"""Find the throw that hits a target: gradients through a loop that integrates a flight with drag.

The simulation is ordinary NumPy: it allocates an array, and writes each step into it in place.
"""

import numpy as np

import npdiff

GRAVITY = np.array([0.0, -9.81])
TARGET = np.array([12.0, 3.0])
DRAG = 0.05


def fly(velocity, seconds=1.5, steps=60):
    """Positions of a ball thrown from the origin, one row per step."""
    dt = seconds / steps
    path = np.zeros((steps + 1, 2))
    v = velocity.copy()
    for i in range(steps):
        speed = np.sqrt(np.sum(v * v))
        v += dt * (GRAVITY - DRAG * speed * v)
        path[i + 1] = path[i] + dt * v
    return path


def miss(velocity):
    """Squared distance from the target at the end of the flight."""
    return np.sum(np.square(fly(velocity)[-1] - TARGET))


def main():
    velocity = np.array([5.0, 5.0])
    step = npdiff.value_and_grad(miss)
    for i in range(60):
        distance, gradient = step(velocity)
        if i % 12 == 0:
            print(f"step {i:2d}   squared miss {distance:10.6f}   velocity {np.round(velocity, 3)}")
        velocity -= 0.2 * gradient
    print(f"the ball ends at {np.round(fly(velocity)[-1], 4)}, the target is at {TARGET}")
    assert miss(velocity) < 1e-6


if __name__ == "__main__":
    main()
