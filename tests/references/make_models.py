"""Writes NAME.safetensors beside this file: tiny models as Hugging Face transformers computes them.

usage: make_models.py [NAME ...]     (gpt2 bert bart t5 t5-v1.1; default: all)

Every parameter is random, drawn in float64 and rounded to float32; logits, loss and the gradient
of the loss in every parameter are then computed in float64 and stored as float32. README.md says
what each tensor is. Two things are set here against the library's own ways:
- T5LayerNorm takes its variance in float32 whatever the dtype; it is replaced by the same formula
  in the dtype of its input.
- The library ties T5's output projection to its embedding even where the configuration says
  "tie_word_embeddings": false, as that of the published v1.1 does; t5-v1.1 is untied by hand.
"""
import sys
import zlib

import torch
import torch.nn.functional as F
import transformers
from transformers.models.t5.modeling_t5 import T5Attention, T5LayerNorm

from store import made_by, save

VOCAB, WIDTH, FFN, IGNORED = 37, 24, 25, -100

# Configurations as a published config.json states them; sizes are odd on purpose.
GPT2 = dict(model_type="gpt2", vocab_size=VOCAB, n_positions=32, n_embd=WIDTH, n_layer=2, n_head=3,
            n_inner=FFN, activation_function="gelu_new", layer_norm_epsilon=1e-5, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=36, eos_token_id=36)
BERT = dict(model_type="bert", vocab_size=VOCAB, max_position_embeddings=32, hidden_size=WIDTH,
            num_hidden_layers=2, num_attention_heads=3, intermediate_size=FFN, hidden_act="gelu",
            layer_norm_eps=1e-12, type_vocab_size=2, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, pad_token_id=0, num_labels=3)
BART = dict(model_type="bart", vocab_size=VOCAB, max_position_embeddings=32, d_model=WIDTH,
            encoder_layers=2, decoder_layers=1, encoder_attention_heads=3,
            decoder_attention_heads=3, encoder_ffn_dim=FFN, decoder_ffn_dim=FFN,
            activation_function="gelu", scale_embedding=False, dropout=0.0, attention_dropout=0.0,
            activation_dropout=0.0, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2)
T5 = dict(model_type="t5", vocab_size=VOCAB, d_model=WIDTH, d_kv=5, d_ff=FFN, num_heads=3,
          relative_attention_num_buckets=8, relative_attention_max_distance=16, dropout_rate=0.0,
          layer_norm_epsilon=1e-6, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)

# name: configuration, class, lengths of the source rows, lengths of the decoder rows.
MODELS = {
    "gpt2": (GPT2, transformers.GPT2LMHeadModel, [19, 1, 8], None),
    "bert": (BERT, transformers.BertForSequenceClassification, [7, 17, 1], None),
    "bart": (BART, transformers.BartForConditionalGeneration, [13, 1, 19], [17, 5, 1]),
    "t5": (T5 | dict(num_layers=1, num_decoder_layers=2, feed_forward_proj="relu"),
           transformers.T5ForConditionalGeneration, [21, 1, 6], [5, 19, 1]),
    "t5-v1.1": (T5 | dict(num_layers=2, num_decoder_layers=1, feed_forward_proj="gated-gelu",
                          tie_word_embeddings=False),
                transformers.T5ForConditionalGeneration, [21, 1, 6], [5, 19, 1]),
}


def rms_norm(self, x):
    return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


T5LayerNorm.forward = rms_norm


def make_model(config, kind, gen):
    """The model in float64 with random parameters and buffers that float32 holds exactly."""
    model = kind(kind.config_class(**config, attn_implementation="eager")).double().eval()
    if config.get("tie_word_embeddings") is False:
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    with torch.no_grad():
        for name, x in stored(model).items():
            noise = torch.randn(x.shape, generator=gen, dtype=torch.float64)
            gain = "norm" in name.lower() or ".ln_" in name
            if gain and name.endswith("weight"):
                noise = 1 + 0.2 * noise
            elif x.dim() == 2 and VOCAB in x.shape:
                noise *= 1 if config["model_type"] == "t5" and "shared" in name else 0.3
            elif name.endswith("relative_attention_bias.weight"):
                pass
            else:
                noise *= 0.25
            x.copy_(noise.float())
    return model


def stored(model):
    """Parameters, each once under its first name, and the buffers that checkpoints keep."""
    kept = model.state_dict(keep_vars=True)
    buffers = {n: b for n, b in model.named_buffers() if n in kept}
    return dict(model.named_parameters()) | buffers


def rows(lengths, low, end, gen):
    """Random tokens low..VOCAB-1 of these lengths, each row ending in `end` unless that is None."""
    tokens = [torch.randint(low, VOCAB, (n,), generator=gen) for n in lengths]
    for row in tokens:
        if end is not None:
            row[-1] = end
    return tokens


def padded(tokens, pad):
    return torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=pad)


def mask_of(lengths):
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def make_batch(config, lengths, decoder_lengths, gen):
    """Right-padded inputs, and the labels aligned with the logits (no shift between the two)."""
    kind, pad, end = config["model_type"], config.get("pad_token_id", 0), config.get("eos_token_id")
    batch = {"lengths": torch.tensor(lengths)}
    if kind == "gpt2":
        text = rows([n + 1 for n in lengths], 0, end, gen)
        batch["input_ids"] = padded([row[:-1] for row in text], pad)
        batch["labels"] = padded([row[1:] for row in text], IGNORED)
        return batch
    batch["input_ids"] = padded(rows(lengths, 3, end, gen), pad)
    if kind == "bert":
        types = torch.zeros_like(batch["input_ids"])
        types[1, 9:lengths[1]] = 1
        return batch | {"token_type_ids": types, "labels": torch.tensor([2, 0, 1])}
    start = torch.tensor([config["decoder_start_token_id"]])
    target = rows(decoder_lengths, 3, end, gen)
    batch["decoder_lengths"] = torch.tensor(decoder_lengths)
    batch["decoder_input_ids"] = padded([torch.cat([start, row[:-1]]) for row in target], pad)
    batch["labels"] = padded(target, IGNORED)
    return batch


def compute(model, batch):
    """Logits (zero at padded positions) and the mean cross-entropy over the labelled positions."""
    ids = {n: x for n, x in batch.items() if n.endswith("_ids")}
    masks = {"attention_mask": mask_of(batch["lengths"].tolist())}
    if "decoder_lengths" in batch:
        masks["decoder_attention_mask"] = mask_of(batch["decoder_lengths"].tolist())
    logits = model(**ids, **masks).logits
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch["labels"].reshape(-1),
                           ignore_index=IGNORED)
    return logits * (batch["labels"] != IGNORED)[..., None], loss


def buckets():
    """T5's bucket of relative positions -150..150 with the published 32 buckets, distance 128."""
    at = torch.arange(-150, 151)
    return {f"buckets.{name}": T5Attention._relative_position_bucket(at, both, 32, 128)
            for name, both in [("bidirectional", True), ("causal", False)]}


def write(name):
    config, kind, lengths, decoder_lengths = MODELS[name]
    gen = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    model = make_model(config, kind, gen)
    batch = make_batch(config, lengths, decoder_lengths, gen)
    logits, loss = compute(model, batch)
    loss.backward()
    out = {n: x.int() for n, x in batch.items()}
    if name == "t5":
        out |= {n: x.int() for n, x in buckets().items()}
    out |= {f"weight.{n}": x.detach().float() for n, x in stored(model).items()}
    out |= {f"grad.{n}": p.grad.float() for n, p in model.named_parameters()}
    out |= {"logits": logits.detach().float(), "loss": loss.detach().reshape(1)}
    save(name, out, {"config": config, "made_by": made_by("make_models.py", torch, transformers)})



if __name__ == "__main__":
    for wanted in sys.argv[1:] or MODELS:
        write(wanted)
