"One way of timing for all benchmarks: the candidates take turns, round after round, and the median counts."
import cProfile
import gc
import os
import platform
import pstats
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import NullFormatter
from steel_defects.train import best_precision

ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))


def machine(
)->pd.DataFrame: # One column: processor, cores, threads, precision, versions; neither host name nor paths
    "Name the machine."
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = dict(processor=names[0] if names else platform.processor() or platform.machine(), cores=cores, torch_threads=torch.get_num_threads(),
                precision={"no": "float32"}.get(p := best_precision(cpu=True), p), rounds=ROUNDS,
                python=platform.python_version(), torch=torch.__version__, numpy=np.__version__)
    return pd.DataFrame({"": rows})


def take_turns(
    candidates:dict[str, Callable], # Name to function without arguments; what it gives back, if a dict, is seconds by part
    rounds:int=ROUNDS,              # How often each has its turn
    warm:bool=True,                 # One turn each before the clock runs
)->pd.DataFrame:                    # round, part, candidate, seconds
    "Time candidates in turns: A B C, A B C, ..."
    rows = []
    for n in range(-1 if warm else 0, rounds):
        for name, function in candidates.items():
            gc.collect()
            start = time.perf_counter()
            parts = function()
            spent = time.perf_counter()-start
            parts = parts if isinstance(parts, dict) else {"": spent}
            if n >= 0: rows += [(n, part, name, seconds) for part, seconds in parts.items()]
            del parts
    return pd.DataFrame(rows, columns=["round", "part", "candidate", "seconds"])


def medians(
    times:pd.DataFrame,  # From `take_turns`
    ours:str,            # The candidate that the others are compared with
    *,
    items:float=1,       # What one turn handles: strips, rows, ...
    unit:float=1e3,      # 1e3: milliseconds, 1e6: microseconds
    word:str="ms",       # The unit in a word
)->pd.DataFrame:         # Median, lowest and highest per item; time as a multiple of ours
    "Sum up rounds; a multiple above 1 is slower than ours."
    times = times.assign(**{name: pd.Categorical(times[name], times[name].unique()) for name in ("part", "candidate")})
    table = times.groupby(["part", "candidate"], observed=True).seconds.agg(["median", "min", "max"])*unit/items
    table.index = pd.MultiIndex.from_tuples(table.index.tolist(), names=table.index.names)
    base = table["median"].xs(ours, level="candidate")
    table["x ours"] = table["median"]/base.reindex(table.index.get_level_values("part")).to_numpy()
    table = table.rename(columns=dict(median=f"median, {word}", min="lowest", max="highest"))
    return table.droplevel("part") if table.index.get_level_values("part").unique().tolist() == [""] else table


def bars(
    table:pd.DataFrame,  # From `medians`, or any table
    *,
    column:str|None=None,# What the bars show; None: the first column
    ours:str="steel_defects", # Candidates whose name begins so are blue
    log:bool=False,      # Logarithmic axis
    title:str="",        # What is measured
):
    "Draw medians as bars, or as points on a logarithmic axis."
    column = column or table.columns[0]
    values = table[column]
    names = [", ".join(map(str, i)) if isinstance(i, tuple) else str(i) for i in values.index]
    blue = [str(i[-1] if isinstance(i, tuple) else i).startswith(ours) for i in values.index]
    fig, ax = plt.subplots(figsize=(7.5, .5+.27*len(values)), dpi=80, layout="constrained")
    labels, colors = [f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in values], ["tab:blue" if b else "silver" for b in blue]
    if log:  # a bar would have to begin at 0, which a logarithmic axis does not have
        ax.scatter(values, range(len(values)), color=colors, edgecolor="black", lw=.5, zorder=3)
        ax.grid(axis="y", lw=.5)
        for n, (v, label) in enumerate(zip(values, labels)): ax.annotate(label, (v, n), (7, 0), textcoords="offset points", va="center", fontsize=8)
    else: ax.bar_label(ax.barh(range(len(values)), values, color=colors), labels, padding=3, fontsize=8)
    ax.set_yticks(range(len(values)), names, fontsize=8)
    ax.invert_yaxis()
    ax.margins(x=.15)
    if log:
        ax.set_xscale("log")
        ax.set_xlim(values.min()/2, values.max()*3)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(column, fontsize=8)
    ax.set_title(title, fontsize=9, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="x", labelsize=8)


def profile(
    function:Callable, # Without arguments
    lines:int=8,       # Functions shown
)->pd.DataFrame:       # Function, calls, share of the time spent inside it
    "Tell where the time of Python code goes, without paths."
    found = cProfile.Profile()
    found.enable()
    function()
    found.disable()
    stats = pstats.Stats(found).stats
    rows = [(f"{Path(file).stem}.{name}" if line else name.strip("<>"), calls, own) for (file, line, name), (_, calls, own, _, _) in stats.items()]
    rows = [(name.replace("built-in method ", "").replace("~.", ""), calls, own) for name, calls, own in rows if "disable" not in name]
    table = pd.DataFrame(rows, columns=["function", "calls", "seconds"]).groupby("function", as_index=False).sum()
    table["share"] = (table.seconds/table.seconds.sum()).round(3)
    return table.sort_values("seconds", ascending=False).head(lines)[["function", "calls", "share"]].reset_index(drop=True)


@contextmanager
def quiet():
    "Keep what C++ code writes to the terminal out of the notebook."
    kept, nowhere = [os.dup(fd) for fd in (1, 2)], os.open(os.devnull, os.O_WRONLY)
    try:
        for fd in (1, 2): os.dup2(nowhere, fd)
        yield
    finally:
        for fd, old in zip((1, 2), kept): os.dup2(old, fd)
        for fd in (nowhere, *kept): os.close(fd)


def operators(
    function:Callable, # Without arguments
    lines:int=8,       # Operators shown
)->pd.DataFrame:       # Operator, calls, share of the CPU time spent inside it
    "Tell which of torch's operators take the time."
    with quiet(), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found: function()
    rows = [(e.key.removeprefix("aten::"), e.count, e.self_cpu_time_total) for e in found.key_averages()]
    table = pd.DataFrame(rows, columns=["operator", "calls", "microseconds"])
    table["share"] = (table.microseconds/table.microseconds.sum()).round(3)
    return table.sort_values("microseconds", ascending=False).head(lines)[["operator", "calls", "share"]].reset_index(drop=True)
