"""Learn the whitening from the training part of the corpus.

Views of one group are positives: whiten the scatter within groups, then keep the principal axes of
what is left.
"""

import argparse
import glob
import os
import tempfile

import numpy as np
import trunk
from embed import embed


def fit(x, groups, dims, shrink):
    """Mean [d] and matrix [d, dims].

    `shrink` pulls the within-group scatter towards a multiple of the identity.
    """
    mean = x.mean(0)
    z = x - mean
    _, index = np.unique(groups, return_inverse=True)
    centre = np.zeros((index.max() + 1, x.shape[1]))
    np.add.at(centre, index, z)
    within = z - (centre / np.bincount(index)[:, None])[index]
    scatter = within.T @ within / len(within)
    scatter += np.eye(len(scatter)) * shrink * np.trace(scatter) / len(scatter)
    value, vector = np.linalg.eigh(scatter)
    whiten = vector / np.sqrt(value)
    value, vector = np.linalg.eigh(np.cov((z @ whiten).T))
    return mean, whiten @ vector[:, np.argsort(-value)[:dims]]


def corpus(folder, part="train"):
    """Paths, kinds, groups and views of one part."""
    paths = sorted(glob.glob(f"{folder}/{part}/*/*/*.jpg"))
    kind, group, view = np.array([p.split("/")[-3:] for p in paths]).T
    return paths, kind, np.char.add(np.char.add(kind, "/"), group), view


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("corpus")
    ap.add_argument("out", help=".npz with mean and matrix")
    ap.add_argument("--side", type=int, default=288)
    ap.add_argument("--dims", type=int, default=384)
    ap.add_argument("--shrink", type=float, default=0.02)
    ap.add_argument("--without", nargs="*", default=[], help="kinds of pictures to leave out")
    a = ap.parse_args()
    paths, kind, groups, _ = corpus(a.corpus)
    keep = ~np.isin(kind, a.without)
    with tempfile.TemporaryDirectory() as tmp:
        trunk.export(trunk.Trunk(a.side), a.side, f"{tmp}/trunk.onnx", "pooled")
        x = embed(f"{tmp}/trunk.onnx", [p for p, k in zip(paths, keep, strict=True) if k])
    mean, matrix = fit(x.astype(np.float64), groups[keep], a.dims, a.shrink)
    os.makedirs(os.path.dirname(a.out) or ".", exist_ok=True)
    np.savez(a.out, mean=mean, matrix=matrix)
