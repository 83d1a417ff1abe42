--- Subword tokens of a text, by SentencePiece (runtime/data/tokenizer.h).
---   local t = tokenizer.train("corpus.txt", { vocabulary = 1000 })    model = "unigram" or "bpe"; the same file, the same model
---   t:encode "some text" -> int64 [n]     t:decode(tokens) -> text     t:size()
---   t:save "corpus.model"                 tokenizer.load "corpus.model"
--- A blank line is one token, eos; an unseen character is unk.
local current = require "gradus.base.current"
local engine = require "gradus.engine"

-- Special tokens, and the first ordinary one.
local tokenizer = { pad = 0, unk = 1, bos = 2, eos = 3, mask = 4, first = 5 }

--- Learns tokens from a text file: tokenizer:encode(text), :decode(tokens), :size(), :save(path). A text that gives fewer gives as
--- many as it can, and that is told.
---@param path string
---@param options {vocabulary: number, model: string?}  vocabulary: the number of tokens; model: "unigram" or "bpe"
function tokenizer.train(path, options)
  local t = engine.data.train_tokenizer(path, options)
  if t:size() < options.vocabulary then
    current.tell("vocabulary", ("%s: the text gives %d tokens, not %d: they are all that is taken; d.vocabulary tells how many")
      :format(path, t:size(), options.vocabulary))
  end
  return t
end

--- Reads what a tokenizer's save, or SentencePiece, wrote.
---@param path string
function tokenizer.load(path) return engine.data.load_tokenizer(path) end

return tokenizer
