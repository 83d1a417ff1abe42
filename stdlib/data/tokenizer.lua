--- Subword tokens of a text, by SentencePiece (runtime/data/tokenizer.h).
---   local t = tokenizer.train("corpus.txt", { vocabulary = 1000 })    model = "unigram" or "bpe"; the same file, the same model
---   t:encode "some text" -> int64 [n]     t:decode(tokens) -> text     t:size()
---   t:save "corpus.model"                 tokenizer.load "corpus.model"
--- A blank line is one token, eos; an unseen character is unk.
local engine = require "gradus.engine"

return { train = engine.data.train_tokenizer, load = engine.data.load_tokenizer,
  pad = 0, unk = 1, bos = 2, eos = 3, mask = 4, first = 5 }  -- special tokens, and the first ordinary one
