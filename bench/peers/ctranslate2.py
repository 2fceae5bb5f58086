"""CTranslate2: samples of the same models, converted from transformers' format."""
import json, os, sys

sys.path.pop(0)  # this file has the module's name
import ctranslate2
import ctranslate2.converters.transformers as converters
import numpy
from safetensors.numpy import load_file, save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer


class Vocabulary:
    """Tokens are their ids."""
    bos_token, eos_token, unk_token, pad_token = "0", "2", "3", "1"

    def __init__(self, size):
        self.size = size

    def get_vocab(self):
        return {str(i): i for i in range(self.size)}

    def convert_ids_to_tokens(self, i):
        return str(i)


class Converter(converters.TransformersConverter):
    def load_tokenizer(self, tokenizer_class, model_name_or_path, **kwargs):
        return Vocabulary(8192)


def sample(folder):
    both = json.load(open(folder + "/model/config.json"))["model_type"] == "bart"
    if not os.path.isdir(folder + "/ctranslate2"):
        Converter(folder + "/model").convert(folder + "/ctranslate2")
    options = {"intra_threads": peer.THREADS, "compute_type": "float32"}
    x = load_file(folder + "/inputs.safetensors")
    tokens = [[str(i) for i in row] for row in x["source" if both else "target"]]
    sampling = {"beam_size": 1, "sampling_topk": 0, "max_batch_size": 64}
    if both:
        engine = ctranslate2.Translator(folder + "/ctranslate2", **options)

        def run():
            engine.translate_batch(tokens, min_decoding_length=64, max_decoding_length=64, **sampling)
            return {"score": numpy.array(engine.score_batch(tokens[:1], [["5"]])[0].log_probs[:1], "float32")}
    else:
        engine = ctranslate2.Generator(folder + "/ctranslate2", **options)

        def run():
            engine.generate_batch(tokens, min_length=64, max_length=64, include_prompt_in_result=False, **sampling)
            logits = engine.forward_batch(tokens[:1])
            return {"logits": numpy.array(logits)[0, -1:]}

    return run


if __name__ == "__main__":
    peer.serve({"sample/decoder": sample, "sample/encoder-decoder": sample}, save_file)
