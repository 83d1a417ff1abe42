--- What PyTorch, Lightning, Hydra, Optuna and the like call an option: used by check.lua when a name is unknown.
local synonyms = {}

-- Their name -> ours, of which the first that the options have counts.
local NAMES = {
  learning_rate = "lr", rate = "lr", eta = "lr", batch_size = "batch size", batchsize = "batch size", bs = "batch size", batch = "size", size = "batch",
  num_epochs = "epochs", n_epochs = "epochs", max_epochs = "epochs", epoch = "epochs", max_steps = "steps", num_steps = "steps",
  iterations = "steps", n_iter = "steps", T = "temperature", tau = "temperature", temp = "temperature", wd = "weight_decay", l2 = "weight_decay",
  dropout_rate = "dropout", drop = "dropout", dropout = "p", net = "model student", network = "model student", model = "student",
  student = "model", train = "data", dataset = "data", train_data = "data", dataloader = "data", train_dataloader = "data",
  train_dataloaders = "data", datamodule = "data", source = "data", gradient_clip_val = "clip", max_norm = "clip", grad_clip = "clip",
  clip_grad = "clip", clip_grad_norm = "clip", max_grad_norm = "clip", smoothing = "label_smoothing", optim = "optimizer", opt = "optimizer",
  early_stopping = "patience stop", accumulate_grad_batches = "accumulate", gradient_accumulation_steps = "accumulate", grad_accum = "accumulate",
  lam = "alpha", kd_weight = "alpha", hard_weight = "alpha", augmentation = "augment", transform = "augmentations", transforms = "augmentations",
  stages = "curriculum", strategy = "curriculum", teachers = "teacher", loss_fn = "loss", criterion = "loss", metric = "monitor",
  save_best = "restore_best", val_data = "val", num_classes = "classes outputs", n_classes = "classes outputs", labels = "classes",
  out_features = "outputs", vocab_size = "vocabulary", d_model = "width", embed_dim = "width", hidden_size = "width", n_embd = "width",
  n_layers = "layers", num_layers = "layers", n_layer = "layers", n_heads = "heads", num_heads = "heads", nhead = "heads", n_head = "heads",
  max_len = "context", seq_len = "context", block_size = "context", dim_feedforward = "feedforward", target_column = "label", sep = "separator",
  delimiter = "separator", parameters = "params", config = "params", hyperparameters = "params", hparams = "params", search_space = "grid",
  test_size = "test", epsilon = "eps", axis = "dim", keepdims = "keepdim", fn = "run", main = "run", objective = "run", title = "name",
  study_name = "name", project = "name", in_channels = "channels", nonlinearity = "activation", act = "activation", act_layer = "activation",
  low = "min", high = "max", minimum = "min", maximum = "max", column = "label",
}

-- Their name -> { an option that ours must have, how it is said there }.
local SAID = {
  epochs = { "budget", "budget = { epochs = … }" }, steps = { "budget", "budget = { steps = … }" }, samples = { "budget", "budget = { samples = … }" },
  num_epochs = { "budget", "budget = { epochs = … }" }, n_epochs = { "budget", "budget = { epochs = … }" }, epoch = { "budget", "budget = { epochs = … }" },
  max_epochs = { "budget", "budget = { epochs = … }" }, min_epochs = { "budget", "budget = { epochs = … }" }, max_steps = { "budget", "budget = { steps = … }" },
  num_steps = { "budget", "budget = { steps = … }" }, iterations = { "budget", "budget = { steps = … }" }, max_time = { "budget", "budget = { seconds = … }" },
  n_iter = { "budget", "budget = { steps = … }" }, seconds = { "budget", "budget = { seconds = … }" }, flops = { "budget", "budget = { flops = … }" },
  val = { "data", "data = { train = …, val = … }" }, val_data = { "data", "data = { train = …, val = … }" }, valid = { "data", "data = { train = …, val = … }" },
  validation = { "data", "data = { train = …, val = … }" }, validation_data = { "data", "data = { train = …, val = … }" },
  val_dataloader = { "data", "data = { train = …, val = … }" }, val_dataloaders = { "data", "data = { train = …, val = … }" },
  x = { "data", "data = g.data.tensors(x, y)" }, y = { "data", "data = g.data.tensors(x, y)" },
  scheduler = { "decay", "lr = g.schedule.cosine(1e-3, 0), or decay = \"cosine\"" }, lr_scheduler = { "decay", "lr = g.schedule.cosine(1e-3, 0), or decay = \"cosine\"" },
  lr_schedule = { "decay", "lr = g.schedule.cosine(1e-3, 0), or decay = \"cosine\"" },
  warmup_steps = { "warmup", "warmup = { steps = … }" }, warmup_epochs = { "warmup", "warmup = { epochs = … }" }, warmup_ratio = { "warmup", "warmup = .05" },
  num_warmup_steps = { "warmup", "warmup = { steps = … }" }, check_val_every_n_epoch = { "evaluate", "evaluate = { epochs = … }" },
  val_check_interval = { "evaluate", "evaluate = { steps = … }" }, eval_every = { "evaluate", "evaluate = { epochs = … }" },
  eval_steps = { "evaluate", "evaluate = { steps = … }" }, beta = { "alpha", "alpha, the weight of the labels: α CE + (1 − α) T² KL" },
  momentum = { "optimizer", "optimizer = g.optim.SGD(student, { momentum = .9 })" }, betas = { "optimizer", "optimizer = g.optim.AdamW(student, { betas = { .9, .999 } })" },
  device = { "data", "the command line: gradus run … --device cuda" }, accelerator = { "data", "the command line: gradus run … --device cuda" },
  gpus = { "data", "the command line: gradus run … --device cuda" }, seed = { "data", "the command line: --seed 1, or grid = { seed = { 1, 2 } } of the experiment" },
  precision = { "data", "g.autocast(\"bfloat16\", fn) in the model's forward" }, logger = { "data", "nothing: what a run measures is stored" },
  callbacks = { "curriculum", "patience = …, or curriculum = { advance = function(s) … end }" }, shuffle = { "data", "nothing: training data are shuffled" },
  drop_last = { "data", "nothing: training batches are always full" }, num_workers = { "data", "nothing: batches are made on threads of their own" },
  pin_memory = { "data", "nothing: batches are made on threads of their own" }, verbose = { "data", "the command line: --quiet" },
  progress_bar = { "data", "the command line: --quiet" }, enable_progress_bar = { "data", "the command line: --quiet" },
  limit_train_batches = { "budget", "data = d.train:first(.1)" }, fast_dev_run = { "budget", "`gradus check SCRIPT`" },
  metrics = { "monitor", "run:log { name = value } from advance, which is asked after each evaluation" },
  save_top_k = { "checkpoints", "checkpoints = { epochs = … }" }, every_n_epochs = { "checkpoints", "checkpoints = { epochs = … }" },
  seeds = { "grid", "grid = { seed = { 1, 2, 3 } }" }, n_trials = { "grid", "grid = { lr = { 1e-3, 1e-2 } }" },
  sweep = { "grid", "grid = { lr = { 1e-3, 1e-2 } }" }, sweeper = { "grid", "grid = { lr = { 1e-3, 1e-2 } }" }, direction = { "grid", "nothing: losses and errors get better downwards, all else upwards" },
  inplace = { "p", "nothing: activations make a new tensor" }, amsgrad = { "lr", "optim.AdamW without it" }, fused = { "lr", "nothing: updates are fused" },
  foreach = { "lr", "nothing: updates are fused" }, requires_grad = { "dtype", "nn.Parameter(t), or t:requires_grad_()" },
}

--- The end of the sentence about an unknown option, where it is known from elsewhere: "expected 'lr'".
---@param name string
---@param options table<string, any>  the names that there are
---@return string?
function synonyms.of(name, options)
  for _, key in ipairs { name, name:lower() } do
    for ours in (NAMES[key] or ""):gmatch "%S+" do
      if options[ours] then return ("expected '%s'"):format(ours) end
    end
    local said = SAID[key]
    if said and options[said[1]] then return "expected " .. said[2] end
  end
end

return synonyms
