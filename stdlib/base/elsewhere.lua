--- What PyTorch, Lightning, MLflow and the like have under a name that nothing here has, and what takes its place: the ends of messages
--- about missing names. Options are synonyms.lua's, globals globals.lua's.
local elsewhere = {}

-- What takes its place: the names of it.
local NAMES = {
  ["losses of g.loss, such as g.loss.cross_entropy(logits, y), and methods of tensors: x:relu(), x:softmax(-1)"] = "functional F",
  ["g.loss.cross_entropy(logits, y)"] = "CrossEntropyLoss NLLLoss cross_entropy nll_loss criterion loss.nll",
  ["g.loss.mse(a, b)"] = "MSELoss mse",
  ["g.loss.kl(student, teacher, { temperature = 4 }) of logits, or g.kd_loss"] = "KLDivLoss KLDiv kd distillation_loss "
    .. "DistillationLoss loss.kl_div",
  ["g.binary_cross_entropy_with_logits(x, y)"] = "BCEWithLogitsLoss BCELoss bce loss.binary_cross_entropy",
  ["1 - g.cosine_similarity(a, b, 1), whose mean is a loss"] = "CosineEmbeddingLoss loss.cosine loss.cosine_similarity",
  ["g.l1_loss(a, b)"] = "L1Loss loss.l1 loss.mae",
  ["opt:minimize(loss, { lr = … }) for a rate, opt.groups for the parameters"] = "param_groups",
  ["nn.Conv2d of one row, or the operator g.conv1d"] = "Conv1d",
  ["nn.Conv2d, or a class of your own"] = "Conv3d ConvTranspose2d Upsample PixelShuffle",
  ["nn.TransformerEncoder, or a class of your own over nn.Linear"] = "LSTM GRU RNN LSTMCell GRUCell",
  ["x:log_softmax(-1) in forward"] = "LogSoftmax",
  ["nn.LayerNorm or nn.BatchNorm2d"] = "GroupNorm InstanceNorm2d InstanceNorm1d RMSNorm SyncBatchNorm",
  ["x:elu() in forward"] = "ELU",
  ["nn.SiLU or nn.GELU"] = "Hardswish Mish Hardsigmoid SELU CELU PReLU Softplus",
  ["a field for each: self.a = nn.Parameter(t)"] = "ParameterList ParameterDict",
  ["one device a run: --device cuda on the command line"] = "DataParallel DistributedDataParallel parallel distributed DDP",
  ["clip = 1 of distill, opt:minimize(loss, { clip = 1 }) or opt:step { clip = 1 }"] = "clip_grad_norm_ clip_grad_norm clip_grad_value_",
  ["lr = g.schedule.cosine(1e-3, 0) in distill, g.schedule.warmup(…), or opt:minimize(loss, { lr = … }) at each step"] =
    "lr_scheduler LRScheduler StepLR MultiStepLR CosineAnnealingLR cosine_annealing CosineAnnealing OneCycleLR OneCycle ExponentialLR "
    .. "LambdaLR LinearLR ReduceLROnPlateau scheduler get_scheduler cosine_with_warmup onecycle one_cycle cosine_warmup linear_warmup "
    .. "reduce_on_plateau",
  ["optim.AdamW, optim.Adam or optim.SGD"] = "RMSprop RMSProp Adagrad Adadelta LBFGS NAdam RAdam Adamax Lion Adafactor",
  ["g.tensor(list), or g.data.npy { x = \"x.npy\", y = \"y.npy\" } of files"] = "from_numpy as_tensor numpy array asarray",
  ["net:save \"file.safetensors\" (what a run has trained is kept by itself: gradus show RUN)"] =
    "save save_model save_weights save_pretrained save_checkpoint log_model",
  ["net:load \"file.safetensors\" of weights; g.data.csv, npy, safetensors or idx of data"] =
    "load load_model load_weights from_pretrained load_from_checkpoint",
  ["run:batches(d.train, { size = 64, steps = … }), or distill, which draws by itself"] =
    "DataLoader loader batches dataloader train_dataloader get_batches",
  ["g.data.tensors(x, y)"] = "TensorDataset Dataset ArrayDataset from_tensors from_tensor_slices from_arrays",
  ["d:split { train = .8, val = .2 }"] = "random_split train_test_split split_dataset",
  ["d:split { train = .8, val = .2 }:standardize(), by the training rows' mean and deviation"] = "StandardScaler standardise normalize "
    .. "normalise scale scaler MinMaxScaler RobustScaler fit_transform Normalize zscore",
  ["g.data.idx { x = \"train-images-idx3-ubyte.gz\", y = \"train-labels-idx1-ubyte.gz\", scale = 1 / 255 }"] =
    "mnist MNIST fashion_mnist FashionMNIST EMNIST KMNIST",
  ["g.data.npy { x = \"x.npy\", y = \"y.npy\" } of its arrays"] = "cifar100 CIFAR100 ImageFolder imagefolder images ImageNet svhn SVHN",
  ["g.data.csv \"file.csv\", npy, safetensors or idx"] = "load_csv read_csv from_csv load_dataset parquet pandas DataFrame from_pandas",
  ["--device cuda on the command line: models, data and optimizers move by themselves"] = "cuda mps gpu backends accelerator Accelerator",
  ["g.autocast(\"bfloat16\", function() … end)"] = "half bfloat16 amp GradScaler",
  ["for path, module in net:named_modules() do … end"] = "apply modules",
  ["opt:step { clip = 1 } for clip_grad_norm_, run:batches(d.train, { size = 64, steps = … }) for a DataLoader"] = "utils",
  ["print(net), or net:num_parameters()"] = "summary torchsummary torchinfo",
  ["g.no_grad(function() … end)"] = "inference_mode set_grad_enabled",
  ["x, y = d:gather(), then g.data.tensors(x, y)"] = "map transform",
  ["d:subset(places), such as d:subset(y:eq(1):nonzero():flatten()) of x, y = d:gather()"] = "filter where_label select",
  ["patience = 3 of distill"] = "early_stopping EarlyStopping",
  ["restore_best of distill, which is on where there is validation data"] = "ModelCheckpoint",
  ["run:log { name = value }; `gradus export mlflow` and `export tensorboard` write what others read"] =
    "mlflow wandb log_metric log_metrics add_scalar log_dict SummaryWriter writer report tensorboard",
  ["params of g.experiment, which are stored by themselves"] = "log_param log_params hparams config save_hyperparameters",
  ["g.experiment { run = function(run, p) … end }, which begins and ends the run"] = "start_run init_run begin end_run active_run",
  ["run:artifact(path)"] = "log_artifact log_artifacts add_artifact upload log_file log_figure log_image log_text",
  ["`gradus tag RUN NAME=VALUE`"] = "set_tag set_tags add_tags",
  ["g.runs { where = \"best(val/acc) > 0.9\" }"] = "search_runs get_runs list_runs load_runs",
  ["`gradus sweep`, or g.sweep"] = "create_study study optuna tune",
  ["run:evaluate(model, d.val).acc, or metrics = { f1 = { better = \"higher\", of = function(model, d) … end } } of distill"] =
    "metrics accuracy Accuracy f1_score confusion_matrix torchmetrics",
  ["sampler.weighted(d, weights)"] = "WeightedRandomSampler RandomSampler BatchSampler SubsetRandomSampler",
  ["dtype = \"float32\", a text"] = "float32 float16 int64 int32 bool",
  ["run:distill { … }, run:fit { … }, or a loop over run:batches"] = "Trainer trainer train_model LightningModule",
  ["init.kaiming_uniform_ or init.normal_"] = "kaiming_normal_ xavier_normal_ trunc_normal_ orthogonal_",
  ["init.constant_(t, 0)"] = "zeros_ ones_",
  ["params = { lr = 1e-3 }, which takes any number; --set 'lr=log(1e-4,1e-1)' of gradus sweep is the range that is searched"] =
    "g.float g.uniform loguniform log_uniform qloguniform suggest_float suggest_int suggest_uniform suggest_loguniform",
  ["g.choice { \"a\", \"b\" }"] = "categorical suggest_categorical Categorical choices",
  ["params = { flag = false }"] = "suggest_bool g.flag g.boolean g.bool",
  ["--seed 1 on the command line, or grid = { seed = { 1, 2 } } of the experiment"] = "seed_everything set_seed random_seed",
  ["run:distill { … } of the experiment's run"] = "distill Distiller Distillation KD KnowledgeDistillation knowledge_distillation",
  ["run:evaluate(model, d.test)"] = "evaluate validate test_model",
  ["advance = function(s) … end of a curriculum, which is asked after each evaluation"] = "callback callbacks Callback on_epoch_end",
  ["teacher = { a, b }, or { { a, .7 }, { b, .3 } }, of distill"] = "ensemble Ensemble",
  ["grid = { lr = { 1e-3, 1e-2 } } of the experiment, or `gradus sweep`"] = "grid_search GridSearch random_search bayes "
    .. "g.search g.grid hydra",
  ["--halving of `gradus sweep`"] = "pruner Pruner prune hyperband",
  ["`gradus plot METRIC`, `gradus report` or `gradus serve`"] = "plot plots figure",
  ["losses = { mine = { loss = function(b, out, k) … end } } of distill"] =
    "loss.focal loss.hinge loss.huber loss.smooth_l1 loss.contrastive loss.triplet loss.hint loss.attention loss.rkd loss.crd loss.dkd "
    .. "loss.fitnets loss.custom",
  ["d.train:shuffled()"] = "score.random sampler.random",
  ["g.score.margin or g.score.entropy of a teacher"] = "score.confidence score.uncertainty score.difficulty",
  ["g.score.by(function(x, y) … end)"] = "score.length score.forgetting score.el2n score.grad_norm score.variance score.custom score.fn",
  ["sampler.easiest of ranked:reversed()"] = "sampler.hardest sampler.anti",
  ["sampler.self_paced"] = "sampler.spl",
  ["sampler.weighted(d, weights), with the classes' weights"] = "sampler.balanced sampler.class_balanced sampler.stratified",
  ["when.above(\"val/acc\", .9) or when.below(\"val/loss\", .2)"] = "when.threshold when.at_least when.reached when.metric "
    .. "when.accuracy when.acc when.loss",
  ["when.plateau(\"val/loss\", 3)"] = "when.converged when.no_improvement when.improved when.stagnates",
  ["when.steps(n) or when.epochs(n)"] = "when.after when.every",
  ["patience = 3 of distill, or when.patience(\"val/loss\", 3)"] = "when.early_stopping when.EarlyStopping",
  ["schedule.staircase, or schedule.pieces { { 0, 6 }, { .5, 4 } }"] = "schedule.step schedule.steps schedule.multistep",
  ["schedule.linear, cosine or exponential, or a function of the state"] = "schedule.polynomial schedule.poly schedule.sigmoid "
    .. "schedule.log schedule.anneal schedule.decay schedule.cyclic schedule.adaptive",
  ["g.data.digits():split { … }, of the data set itself"] = "data.split data.subset data.standardize data.augment data.batch",
  ["run:fit { … }, g.fit { … } or run:distill { … }"] = "g.train g.trainer",
  ["nn.Linear"] = "Dense",
  ["nn.AdaptiveAvgPool2d(1) and nn.Flatten()"] = "GlobalAvgPool2d GlobalAveragePooling GlobalAveragePooling2D GlobalAvgPool",
  ["nn.ConvNet, or a class of your own"] = "CNN ResNet ResNet18 resnet18 resnet50 ResNet50 VGG vgg16 MobileNet EfficientNet",
  ["nn.Transformer, or a class of your own over nn.TransformerEncoder"] = "BERT Bert GPT GPT2 ViT DistilBert",
  ["local Net = nn.class(\"Net\", nn.Module) with Net:init and Net:forward"] = "Lambda Residual Permute Mean Add PositionalEncoding "
    .. "Reshape View",
  ["g.data.tensors(x, y) of tensors, such as g.randn({ 100, 4 })"] = "blobs moons make_blobs make_moons make_classification synthetic "
    .. "xor data.random",
  ["g.data.generator(fn, { epoch = 10000 })"] = "IterableDataset stream streaming from_generator",
  ["g.tokenizer"] = "Tokenizer AutoTokenizer",
  ["g.data.csv of a table, or g.data.npy { x = \"x.npy\", y = \"y.npy\" } of its arrays"] = "data.json jsonl npz h5 hdf5 excel folder "
    .. "image_folder iris imdb hf huggingface",
}

--- name -> what takes its place, from that -> its names.
---@param names_of table<string, string>
---@return table<string, string>
function elsewhere.table_of(names_of)
  local places = {}
  for place, names in pairs(names_of) do
    for name in names:gmatch "%S+" do places[name] = place end
  end
  return places
end

local PLACES = elsewhere.table_of(NAMES)

--- What takes the place of such a name; nil where nobody has it, so that the nearest of ours is told.
---@param name any
---@param where? string  who lacks it, "g.score": there "score.random" is known, too
---@return string?
function elsewhere.mend(name, where)
  local is_loss = type(name) == "string" and name:find "%u.*Loss$"
  local here = where and PLACES[where:gsub("^g%.", "", 1) .. "." .. tostring(name)]
  return here or PLACES[name] or is_loss and "a function of tensors that returns their loss: g.loss.mse(a, b), or one of yours" or nil
end

return elsewhere
