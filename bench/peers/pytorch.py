"""PyTorch, eager and compiled, with transformers' models: the same work on the same numbers."""
import json, math, os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

import peer

torch.set_num_threads(peer.THREADS)


def model_of(kind, folder):
    model = kind.from_config(AutoConfig.from_pretrained(folder), attn_implementation="sdpa")
    missing, unexpected = model.load_state_dict(load_file(folder + "/model.safetensors"), strict=False)
    assert not unexpected, unexpected
    model.tie_weights()
    return model.eval()


def divergence(name, teacher, student):
    """Losses of rows, as a careful PyTorch script has them."""
    p, q = F.log_softmax(teacher, -1), F.log_softmax(student, -1)
    kl = lambda a, b: F.kl_div(b, a, reduction="none", log_target=True).sum(-1)
    if name == "kl":
        return kl(p, q)
    if name == "rkl":
        return kl(q, p)
    if name == "js":
        m = torch.logaddexp(p, q) - math.log(2)
        return 0.5 * (kl(p, m) + kl(q, m))
    if name == "tvd":
        return 0.5 * (p.exp() - q.exp()).abs().sum(-1)
    a = float(name.removeprefix("alpha:"))
    return ((a * p + (1 - a) * q).exp().sum(-1) - 1) / (a * (a - 1))


def step(number, compiled=False, dtype=None):
    def prepare(folder):
        teacher, student = (model_of(AutoModelForCausalLM, f"{folder}/{m}") for m in ("teacher", "student"))
        ids = load_file(folder + "/inputs.safetensors")["ids"].long()
        adam = torch.optim.AdamW(student.parameters(), lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01,
                                 fused=True)

        def forward():
            with torch.no_grad():
                target = teacher(ids, use_cache=False).logits.flatten(0, 1)
            return divergence("js", target, student(ids, use_cache=False).logits.flatten(0, 1)).mean()

        if compiled:
            forward = torch.compile(forward)

        def run():
            adam.zero_grad()
            loss = forward()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(student.parameters(), 1)
            adam.step()
            return {"loss": loss.detach().reshape(1), "norm": norm.reshape(1)}

        return run

    return prepare


def loss_and_gradient(student, loss):
    loss.sum().backward()
    results = {"loss": loss.detach().reshape(-1), "gradient": student.grad[:1].clone()}
    student.grad = None
    return results


def divergence_work(name):
    def prepare(folder):
        x = load_file(folder + "/inputs.safetensors")
        teacher, student = x["teacher"], x["student"].requires_grad_()
        return lambda: loss_and_gradient(student, divergence(name, teacher, student))

    return prepare


def sinkhorn_work(folder):
    """SinKD's batch-wise loss as its authors' code has it: scalings, unrolled by autograd."""
    x = load_file(folder + "/inputs.safetensors")
    teacher, student = x["teacher"], x["student"].requires_grad_()

    def run():
        p, q = F.softmax(teacher / 2, -1), F.softmax(student / 2, -1)
        cost = torch.cdist(q, p, p=1)
        plan = torch.exp(-cost / 0.1)
        for _ in range(20):
            plan = plan / plan.sum(1, keepdim=True)
            plan = plan / plan.sum(0, keepdim=True)
        return loss_and_gradient(student, 0.001 * (plan * cost).sum())

    return run


def attention(folder):
    x = load_file(folder + "/inputs.safetensors")
    q, k, v = (x[n].requires_grad_() for n in "qkv")

    def run():
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                           is_causal=True).transpose(1, 2)
        y.backward(x["dy"])
        results = {"y": y.detach()[:, -1:].contiguous()}
        for name, t in (("dq", q), ("dk", k), ("dv", v)):
            results[name] = t.grad[:, -1:].contiguous()
            t.grad = None
        return results

    return run


def sample(folder):
    config = json.load(open(folder + "/model/config.json"))
    x = load_file(folder + "/inputs.safetensors")
    both = config["model_type"] == "bart"
    model = model_of(AutoModelForSeq2SeqLM if both else AutoModelForCausalLM, folder + "/model")
    ids = x["source" if both else "target"].long()
    start = torch.full((len(ids), 1), 2)

    def run():
        with torch.inference_mode():
            torch.manual_seed(1)
            model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, min_new_tokens=64,
                           max_new_tokens=64, pad_token_id=1)
            logits = model(ids[:1], decoder_input_ids=start[:1]).logits if both else model(ids[:1]).logits
            return {"logits": logits[:, -1].contiguous()}

    return run


def encode(folder):
    model = model_of(AutoModelForSequenceClassification, folder + "/model")
    ids = load_file(folder + "/inputs.safetensors")["source"].long()

    def run():
        with torch.inference_mode():
            return {"logits": model(ids, attention_mask=torch.ones_like(ids)).logits}

    return run


WORKS = {"encode": encode, "sample/decoder": sample, "sample/encoder-decoder": sample}
for i in (1, 2, 3):
    WORKS[f"step/{i}"] = step(i)
    WORKS[f"step/{i}/compile"] = step(i, compiled=True)
for name in ("kl", "rkl", "js", "tvd", "alpha:0.5"):
    WORKS["divergence/" + name] = divergence_work(name)
for size in ("64x3", "256x1000", "64x32000"):
    WORKS["sinkhorn/" + size] = sinkhorn_work
for length in (128, 1024, 4096):
    WORKS[f"attention/{length}"] = attention

if __name__ == "__main__":
    peer.serve(WORKS, save_file)
