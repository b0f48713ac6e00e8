"""Vectors of unrelated pictures, one a group, by one or two models; stored as int8 with a scale."""

import argparse
import random
from collections import Counter

import numpy as np
from embed import embed
from whiten import corpus

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("corpus")
    ap.add_argument("out", help=".npz: vectors and scale, of --fp32 vectors_fp32 and scale_fp32")
    ap.add_argument("--int8", required=True)
    ap.add_argument("--fp32")
    a = ap.parse_args()
    paths, _, groups, _ = corpus(a.corpus, "cohort")
    rng, of = random.Random(0), {}
    for p, g in zip(paths, groups, strict=True):
        of.setdefault(g, []).append(p)
    chosen = [rng.choice(of[g]) for g in sorted(of)]
    out = {}
    for tail, model in (("", a.int8), ("_fp32", a.fp32)):
        if model:
            x = embed(model, chosen)
            scale = np.float32(np.abs(x).max() / 127)
            out["vectors" + tail], out["scale" + tail] = np.round(x / scale).astype(np.int8), scale
    np.savez_compressed(a.out, **out)
    print(len(chosen), Counter(p.split("/")[-3] for p in chosen))
