# SPDX-License-Identifier: Apache-2.0
"""The plots of docs/performance.md, drawn by gnuplot from what the run has seen."""
import os
import subprocess

HEAD = """set terminal svg size 760,400 font 'sans-serif,13' background '#ffffff'
set output '{output}'
set grid lc rgb '#dddddd'
set key top left
set border lc rgb '#555555'
"""


def write_data(folder, name, rows):
    path = f"{folder}/{name.replace(' ', '-')}.dat"
    with open(path, "w", encoding="ascii") as file:
        file.writelines(" ".join(f"{value:.6g}" for value in row) + "\n" for row in rows)
    return path


def draw(folder, output, script):
    path = f"{folder}/{os.path.basename(output)}.gp"
    with open(path, "w", encoding="ascii") as file:
        file.write(HEAD.format(output=output) + script)
    subprocess.run(["gnuplot", path], check=True)


def draw_curve(folder, images, plots):
    names = [name for name in plots if name.startswith("curve ")]
    if not names:
        return
    lines = []
    for index, name in enumerate(names):
        data = write_data(folder, name, plots[name])
        colour = ("#0b6bcb", "#c0392b", "#7d8b2f")[index % 3]
        lines.append(f"'{data}' using 1:3 with linespoints lw 2 pt 7 ps 0.6 lc rgb '{colour}' title '{name[6:]}, p99'")
        lines.append(f"'{data}' using 1:2 with lines lw 1 dt 2 lc rgb '{colour}' title '{name[6:]}, p50'")
    draw(folder, f"{images}/latency-over-load.svg",
         "set logscale xy\nset key bottom right\nset xlabel 'events a second'\nset ylabel 'due to receiver (ms)'\n"
         f"plot {', '.join(lines)}\n")


def draw_recovery(folder, images, plots):
    if "recovery" not in plots:
        return
    rate, new = write_data(folder, "recovery", plots["recovery"]), write_data(folder, "new", plots["recovery_new"])
    draw(folder, f"{images}/recovery.svg",
         "set xlabel 'seconds since all targets came back'\nset ylabel 'deliveries of the backlog (/s)'\nset yrange [0:*]\n"
         "set y2label 'new events, due to receiver (ms)'\nset y2tics\nset ytics nomirror\nset logscale y2\n"
         "set key top right\n"
         f"plot '{rate}' using 1:2 with steps lw 2 lc rgb '#0b6bcb' title 'backlog', '{new}' using 1:2 "
         "axes x1y2 with points pt 7 ps 0.25 lc rgb '#c0392b' title 'new events of targets that owe nothing'\n")


def draw_memory(folder, images, plots):
    if not plots.get("memory"):
        return
    data = write_data(folder, "memory", [(waiting / 1e3, mib) for _, waiting, mib in plots["memory"]])
    draw(folder, f"{images}/memory-over-backlog.svg",
         "set xlabel 'deliveries waiting (thousand)'\nset ylabel 'resident memory (MiB)'\nset yrange [0:80]\n"
         f"plot '{data}' using 1:2 with lines lw 2 lc rgb '#0b6bcb' title 'Harbinger', 64 with lines dt 2 lc rgb '#888888' "
         "title 'the bar'\n")


def draw_all(folder, images, plots):
    os.makedirs(images, exist_ok=True)
    for one in (draw_curve, draw_recovery, draw_memory):
        one(folder, images, plots)
