--- What PyTorch, Lightning, Hydra, Optuna and the like call an option: used by check.lua when a name is unknown.
local synonyms = {}

-- Our name: theirs. Of several of ours the first that the options have counts.
local NAMES = [[
  lr: learning_rate rate eta
  batch: batch_size batchsize bs size
  size: batch_size batchsize bs batch
  epochs: num_epochs n_epochs max_epochs min_epochs
  steps: max_steps num_steps iterations n_iter
  temperature: T tau temp
  weight_decay: wd l2
  dropout: dropout_rate drop
  p: dropout dropout_rate drop rate
  model: net network student
  student: net network model
  teacher: teachers
  data: train dataset train_data dataloader train_dataloader train_dataloaders datamodule source
  val: val_data valid validation
  clip: clip_norm clipnorm gradient_clip_val max_norm grad_clip clip_grad clip_grad_norm max_grad_norm
  label_smoothing: smoothing
  optimizer: optim opt
  patience: early_stopping
  stop: early_stopping
  accumulate: accumulate_grad_batches gradient_accumulation_steps grad_accum
  alpha: lam kd_weight hard_weight
  augment: augmentation
  augmentations: transform transforms
  curriculum: stages strategy
  loss: loss_fn criterion
  losses: loss loss_fn criterion
  monitor: metric
  restore_best: save_best
  classes: num_classes n_classes labels
  outputs: num_classes n_classes out_features
  vocabulary: vocab_size
  width: d_model embed_dim hidden_size n_embd
  layers: n_layers num_layers n_layer
  heads: n_heads num_heads nhead n_head
  context: max_len seq_len block_size
  feedforward: dim_feedforward
  channels: in_channels
  activation: nonlinearity act act_layer
  label: target_column column
  separator: sep delimiter
  params: parameters config hyperparameters hparams
  grid: search_space
  test: test_size
  eps: epsilon
  dim: axis
  keepdim: keepdims
  run: fn main objective
  name: title study_name project
  min: low minimum
  max: high maximum]]

local STANDARDIZED = "d = g.data.…:split { train = .8, val = .2 }:standardize()"
local SCALERS = "standardize standardise normalize normalise scaler zscore"

-- An option that ours must have, how theirs is said there, and their names.
local SAID = {
  { "budget", "budget = { epochs = … }", "epochs num_epochs n_epochs epoch max_epochs min_epochs" },
  { "budget", "budget = { steps = … }", "steps max_steps num_steps iterations n_iter" },
  { "budget", "budget = { samples = … }", "samples" },
  { "budget", "budget = { seconds = … }", "seconds max_time" },
  { "budget", "budget = { flops = … }", "flops" },
  { "budget", "data = d.train:first(.1)", "limit_train_batches" },
  { "budget", "`gradus check SCRIPT`", "fast_dev_run" },
  { "data", "data = { train = …, val = … }", "val val_data valid validation validation_data val_dataloader val_dataloaders" },
  { "data", "data = g.data.tensors(x, y)", "x y" },
  { "decay", 'lr = g.schedule.cosine(1e-3, 0), or decay = "cosine"', "scheduler lr_scheduler lr_schedule" },
  { "warmup", "warmup = { steps = … }", "warmup_steps num_warmup_steps" },
  { "warmup", "warmup = { epochs = … }", "warmup_epochs" },
  { "warmup", "warmup = .05", "warmup_ratio" },
  { "evaluate", "evaluate = { epochs = … }", "check_val_every_n_epoch eval_every" },
  { "evaluate", "evaluate = { steps = … }", "val_check_interval eval_steps" },
  { "alpha", "alpha, the weight of the labels: α CE + (1 − α) T² KL", "beta" },
  { "optimizer", "optimizer = g.optim.SGD(student, { momentum = .9 })", "momentum" },
  { "optimizer", "optimizer = g.optim.AdamW(student, { betas = { .9, .999 } })", "betas" },
  { "data", "the command line: gradus run … --device cuda", "device accelerator gpus" },
  { "data", "the command line: --seed 1, or grid = { seed = { 1, 2 } } of the experiment", "seed" },
  { "data", "the command line: --quiet", "verbose progress_bar enable_progress_bar" },
  { "data", 'g.autocast("bfloat16", fn) in the model\'s forward', "precision" },
  { "data", "nothing: what a run measures is stored", "logger" },
  { "data", "nothing: training data are shuffled", "shuffle" },
  { "data", "nothing: training batches are always full", "drop_last" },
  { "data", "nothing: batches are made on threads of their own", "num_workers pin_memory" },
  { "curriculum", "patience = …, or curriculum = { advance = function(s) … end }", "callbacks" },
  { "monitor", "run:log { name = value } from advance, which is asked after each evaluation", "metrics" },
  { "checkpoints", "checkpoints = { epochs = … }", "save_top_k every_n_epochs" },
  { "grid", "grid = { seed = { 1, 2, 3 } }", "seeds" },
  { "grid", "grid = { lr = { 1e-3, 1e-2 } }", "n_trials sweep sweeper" },
  { "grid", "metrics = { rmse = { better = \"lower\" } }, where the name does not tell it", "direction directions" },
  { "lr", "optim.AdamW without it", "amsgrad" },
  { "lr", "nothing: updates are fused", "fused foreach" },
  { "dtype", "nn.Parameter(t), or t:requires_grad_()", "requires_grad" },
  -- of data.csv, npy and their like
  { "separator", STANDARDIZED, SCALERS .. " scale" }, { "tokens", STANDARDIZED, SCALERS },
}

--- The end of the sentence about an unknown option, where it is known from elsewhere: "expected 'lr'".
---@param name string
---@param options table<string, any>  the names that there are
---@return string?
function synonyms.of(name, options)
  for _, key in ipairs { name, name:lower() } do
    for ours, theirs in NAMES:gmatch "(%w[%w_]*): ([^\n]+)" do
      if options[ours] and (" " .. theirs .. " "):find(" " .. key .. " ", 1, true) then return ("expected '%s'"):format(ours) end
    end
    for _, one in ipairs(SAID) do
      if options[one[1]] and (" " .. one[3] .. " "):find(" " .. key .. " ", 1, true) then return "expected " .. one[2] end
    end
  end
end

return synonyms
