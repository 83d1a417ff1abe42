--- What PyTorch, Lightning, Hydra, Optuna and the like call an option: used by check.lua when a name is unknown.
local synonyms = {}

-- Our name: theirs. Of several of ours the first that the options have counts.
local NAMES = [[
  lr: learning_rate rate eta
  batch: batch_size batchsize bs size train_batch_size per_device_train_batch_size
  size: batch_size batchsize bs batch
  epochs: num_epochs n_epochs max_epochs min_epochs nepochs num_train_epochs
  steps: max_steps num_steps iterations iters n_iter max_iter
  temperature: T tau temp kd_temperature
  weight_decay: wd l2
  dropout: dropout_rate drop
  p: dropout dropout_rate drop rate
  model: net network student
  student: net network model
  teacher: teachers
  data: train dataset train_data train_dataset dataloader train_dataloader train_dataloaders train_loader trainloader datamodule source
  val: val_data valid validation
  clip: clip_norm clipnorm gradient_clip_val max_norm grad_clip clip_grad clip_grad_norm max_grad_norm
  label_smoothing: smoothing
  optimizer: optim opt
  patience: early_stopping early_stopping_patience
  stop: early_stopping
  accumulate: accumulate_grad_batches gradient_accumulation_steps grad_accum
  alpha: hard_weight hard_label_weight ce_weight label_weight
  augment: augmentation
  augmentations: transform transforms
  curriculum: stages strategy
  loss: loss_fn criterion
  losses: loss loss_fn criterion
  monitor: metric metric_for_best_model
  restore_best: save_best load_best_model_at_end
  classes: num_classes n_classes labels
  outputs: num_classes n_classes out_features
  vocabulary: vocab_size
  missing: na na_values dropna
  skip: index_col drop exclude ignore
  width: d_model embed_dim hidden_size n_embd
  layers: n_layers num_layers n_layer
  heads: n_heads num_heads nhead n_head
  context: max_len seq_len block_size
  feedforward: dim_feedforward
  channels: in_channels
  activation: nonlinearity act act_layer
  label: target targets y target_column label_column column response
  separator: sep delimiter
  params: parameters config hyperparameters hparams
  grid: search_space
  test: test_size
  eps: epsilon
  dim: axis
  keepdim: keepdims
  run: fn main objective
  name: title study_name project project_name experiment_name
  min: low minimum
  max: high maximum]]

local STANDARDIZED = "d = g.data.…:split { train = .8, val = .2 }:standardize()"
local SCALERS = "standardize standardise normalize normalise scaler zscore"

-- An option that ours must have, how theirs is said there, and their names.
local SAID = {
  { "budget", "budget = { epochs = … }", "epochs num_epochs n_epochs nepochs epoch max_epochs min_epochs num_train_epochs" },
  { "budget", "budget = { steps = … }", "steps max_steps num_steps iterations iters n_iter max_iter" },
  { "budget", "budget = { samples = … }", "samples" },
  { "budget", "budget = { seconds = … }", "seconds max_time time duration" },
  { "budget", "budget = { flops = … }", "flops" },
  { "budget", "data = d.train:first(.1)", "limit_train_batches" },
  { "budget", "`gradus check SCRIPT`", "fast_dev_run" },
  { "data", "data = { train = …, val = … }", "val val_data val_dataset valid validation validation_data val_dataloader val_dataloaders "
    .. "val_loader valloader eval_dataset" },
  { "data", "data = d of d:split { train = .8, val = .2 }", "validation_split" },
  { "data", "run:evaluate(student, d.test) after it", "test_data test_dataset test_loader testloader" },
  { "data", "data = g.data.tensors(x, y)", "x y" },
  { "decay", 'lr = g.schedule.cosine(1e-3, 0), or decay = "cosine"', "scheduler lr_scheduler lr_scheduler_type lr_schedule schedule" },
  { "decay", "lr = g.schedule.cosine(1e-3, 1e-5), from the first to the last rate", "min_lr eta_min" },
  { "decay", "lr = g.schedule.pieces { { 0, 1e-3 }, { .5, 1e-4 } }", "milestones gamma step_size" },
  { "warmup", "warmup = { steps = … }", "warmup_steps num_warmup_steps" },
  { "warmup", "warmup = { epochs = … }", "warmup_epochs" },
  { "warmup", "warmup = .05", "warmup_ratio" },
  { "evaluate", "evaluate = { epochs = … }", "check_val_every_n_epoch eval_every" },
  { "evaluate", "evaluate = { steps = … }", "val_check_interval eval_steps evaluation_strategy eval_strategy" },
  { "alpha", "alpha = 1 − it: alpha is the weight of the labels, α CE + (1 − α) T² KL", "kd_weight kd_alpha alpha_kd kd_lambda soft_weight "
    .. "soft_label_weight soft_target_weight distill_weight distillation_weight teacher_weight" },
  { "alpha", "alpha, the weight of the labels: α CE + (1 − α) T² KL", "beta lam lambda lamda lambd" },
  { "losses", "losses = { kd = 1, mine = { weight = …, loss = function(b, out, k) … end } }", "kd_loss distill_loss hard_loss soft_loss "
    .. "student_loss task_loss hint hints hint_loss feature_loss intermediate" },
  { "losses", "weight = … of g.data.tensors, one number for each row", "sample_weight sample_weights class_weight class_weights "
    .. "pos_weight" },
  { "augmentations", "augmentations = { mixup = .2 }, augment = 1", "mixup mixup_alpha" },
  { "curriculum", "curriculum = { sample = … }", "sample sampler sampling pacing subset" },
  { "curriculum", "curriculum = { target = … }", "target targets" },
  { "curriculum", "curriculum = { advance = … }", "advance" },
  { "curriculum", "curriculum = { pressure = … }", "pressure" },
  { "curriculum", "d.train:rank(score) and curriculum = { sample = ranked:first(.3) }", "difficulty score scoring rank" },
  { "teacher", "teacher = { { a, .7 }, { b, .3 } }", "weights ensemble" },
  { "optimizer", "optimizer = g.optim.SGD(student, { momentum = .9 })", "momentum" },
  { "optimizer", "optimizer = g.optim.AdamW(student, { betas = { .9, .999 } })", "betas" },
  { "data", "the command line: gradus run … --device cuda", "device accelerator gpus" },
  { "data", "the command line: --seed 1, or grid = { seed = { 1, 2 } } of the experiment", "seed" },
  { "data", "the command line: --quiet", "verbose progress_bar enable_progress_bar" },
  { "data", "the command line: --log epoch", "log_interval log_every log_every_n_steps logging_steps" },
  { "data", "the command line: --snapshots 100 (steps), 30s or 5m", "save_steps save_strategy save_every save_total_limit" },
  { "data", "the command line: gradus resume RUN", "resume resume_from resume_from_checkpoint" },
  { "data", "the command line: --store FILE (its folder has the runs' files)", "output_dir save_dir default_root_dir checkpoint_dir" },
  { "data", 'g.autocast("bfloat16", fn) in the model\'s forward', "precision fp16 bf16 amp mixed_precision use_amp" },
  { "data", "nothing: what a run measures is stored", "logger wandb report_to" },
  { "data", "nothing: a step is recorded once and replayed", "compile jit torch_compile" },
  { "data", "name of the experiment", "name run_name project" },
  { "data", "`gradus tag RUN NAME=VALUE`", "tags" },
  { "curriculum", "patience = …, or curriculum = { advance = function(s) … end }", "callbacks callback on_epoch_end on_evaluation" },
  -- of run:fit and run:batches, which have data of their own kind and no curriculum
  { "model", "run:distill { teacher = …, student = …, … }", "teacher temperature alpha curriculum" },
  { "model", "patience = …, or a loop over run:batches", "callbacks callback" },
  { "size", "nothing: training data are shuffled", "shuffle" },
  { "size", "nothing: batches are always full", "drop_last" },
  { "size", "nothing: batches are made on threads of their own", "num_workers pin_memory" },
  { "size", "the command line: --seed 1", "seed" },
  { "data", "nothing: training data are shuffled", "shuffle" },
  { "data", "nothing: training batches are always full", "drop_last" },
  { "data", "nothing: batches are made on threads of their own", "num_workers pin_memory" },
  -- of a stage
  { "advance", "advance = g.when.epochs(…)", "epochs n_epochs num_epochs duration" },
  { "advance", "advance = g.when.steps(…)", "steps n_steps num_steps iterations" },
  { "advance", 'advance = g.when.above("val/acc", .9), or a function of the state', "condition until stop stop_when next threshold" },
  { "advance", "advance = function(s) … end, which is asked after each evaluation", "on_epoch_end on_epoch on_evaluation callback "
    .. "callbacks update step" },
  { "advance", "sample = …", "data dataset subset sampler rows" },
  { "advance", "target = …", "teacher targets" },
  { "advance", "losses = { kd = …, mine = … }, weights by term", "weight weights loss" },
  { "advance", "batch of distill, the same for all stages", "batch batch_size size" },
  { "metrics", "metrics = { f1 = { better = \"higher\", of = function(model, d) … end } }", "compute_metrics" },
  { "monitor", "monitor of a name, or of metrics = { f1 = { better = \"higher\", of = … } }", "greater_is_better mode" },
  { "monitor", "run:log { name = value } from advance, which is asked after each evaluation", "metrics" },
  { "checkpoints", "checkpoints = { epochs = … }", "save_top_k every_n_epochs" },
  { "grid", "grid = { seed = { 1, 2, 3 } }", "seed seeds repeats replicates n_seeds n_repeats runs" },
  { "grid", "grid = { lr = { 1e-3, 1e-2 } }, or `gradus sweep`", "n_trials sweep sweeper search multirun" },
  { "grid", "params = { lr = 1e-3 }", "defaults config_name" },
  { "grid", "the command line: --device cuda", "device" },
  { "grid", "the command line: --store FILE", "store storage save_dir output_dir log_dir" },
  { "grid", "`gradus tag RUN NAME=VALUE`, `gradus note RUN TEXT`", "tags tag group notes note description" },
  { "grid", "nothing: what a run measures is stored", "logger wandb entity" },
  { "grid", "monitor of distill", "monitor" },
  { "grid", "metrics = { rmse = { better = \"lower\" } }, where the name does not tell it", "direction directions" },
  { "lr", "optim.AdamW without it", "amsgrad" },
  { "lr", "nothing: updates are fused", "fused foreach" },
  { "in_features", "the class by itself: nn.ReLU()", "activation" },
  { "norm", "sizes in their order: nn.MLP { inputs, hidden, …, outputs }", "hidden hidden_size hidden_dim hidden_sizes layers sizes "
    .. "width depth in_features out_features inputs outputs input output" },
  { "norm", 'norm = "batch"', "batch_norm batchnorm bn" }, { "norm", 'norm = "layer"', "layer_norm layernorm ln" },
  { "betas", "the parameters as first argument: optim.AdamW(net, { lr = 1e-3 })", "params parameters model" },
  { "betas", "betas = { .9, .999 }, or optim.SGD", "beta1 beta2 momentum" },
  { "ignore_index", "nothing: it is the mean over the batch", "reduction" },
  { "categories", "`gradus help texts`, or categories = { \"column\" } of a few words", "text text_column tokenizer" },
  { "categories", "skip = { \"column\" }: all other columns are the features", "features columns x usecols feature_columns" },
  { "categories", "d:split { … } of what it gives", "split test_size" },
  { "tokens", "x and y, the files", "data inputs input target targets" },
  { "tokens", "augmentations of distill", "transform transforms" },
  { "seconds", "seconds = 60 * …", "minutes hours time duration" },
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
