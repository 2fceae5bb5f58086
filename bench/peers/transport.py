"""POT: entropic transport between the rows of two batches. GeomLoss does other work (symmetric steps, eps scaling, the
gradient of the last step only) and is not compared."""
import os, sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import peer

torch.set_num_threads(peer.THREADS)


def work(plan_of):
    def prepare(folder):
        x = load_file(folder + "/inputs.safetensors")
        teacher, student = x["teacher"], x["student"].requires_grad_()

        def run():
            p, q = F.softmax(teacher / 2, -1), F.softmax(student / 2, -1)
            loss = plan_of(q, p)
            loss.sum().backward()
            results = {"loss": loss.detach().reshape(-1), "gradient": student.grad[:1].clone()}
            student.grad = None
            return results

        return run

    return prepare


def pot(q, p):
    """20 iterations in the log domain, unrolled: columns before rows, so that the plan is another one."""
    import ot
    cost, a = torch.cdist(q, p, p=1), torch.full((len(q),), 1 / len(q))
    plan = ot.bregman.sinkhorn_log(a, a, cost.T, 0.1, numItermax=20, stopThr=0, warn=False).T
    return 0.001 * len(q) * (plan * cost).sum()


if __name__ == "__main__":
    peer.serve({f"sinkhorn/{s}": work(pot) for s in ("64x3", "256x1000", "64x32000")}, save_file)
