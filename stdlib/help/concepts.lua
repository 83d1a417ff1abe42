--- The words of the field as Gradus means them: name -> text, for `gradus help WORD`. A line ends a paragraph.
return {
  alpha = "Weight of the labels in the loss: α CE + (1 − α) T² KL. 1 learns from labels alone, 0 from the teacher alone; .7 when "
    .. "left out. Much code elsewhere has it the other way round, as the weight of the teacher.\nAn option of distill and a knob of "
    .. "stages and pressure: a number from 0 to 1, a schedule, or a function of the state. See also: temperature, kd_loss.",
  losses = "Weighted terms of what is trained on: losses = { kd = 1, hint = { weight = schedule.linear(1, 0), module = projector, "
    .. "loss = function(b, out, k) … end, student = { \"layers.1\" }, teacher = { \"layers.1\" } } }. Built in: kd (α CE + (1 − α) T² "
    .. "KL, the only one when left out), labels, kl, reverse_kl, jsd. What is not listed is not trained on.\nEach weight is a knob; a "
    .. "term returns one number, a mean over the batch; out.logits, out.student[path] and out.teacher[path] are what the networks give; "
    .. "its module is trained and saved along; train/NAME is its value before the weight. See also: kd_loss, metrics.",
  metrics = "Measures of your own at each evaluation: metrics = { f1 = { better = \"higher\", of = function(model, d) … end } } in "
    .. "distill "
    .. "gives val/f1 and SUITE/f1, which monitor, patience, rules and compare take. In g.experiment, metrics = { rmse = { better = "
    .. "\"lower\" } } says which way a result or a logged value is better.",
  temperature = "T divides the logits of student and teacher before the softmax, so that small probabilities count: T = 1 leaves them, "
    .. "4 to 8 are usual, 4 when left out. The KL term is multiplied by T² (t2 = false for the papers that do not), which keeps its "
    .. "gradient's size.\nIt is 4 for few examples too, where the guide's table has 6 to 10: on 898 digits 8 is 0.2 points worse. "
    .. "`gradus check` names the rows of the table that fit.\nA number above 0, a schedule, a function of the state; "
    .. "schedule.by_entropy and by_confidence give one for each example. teacher_temperature is the teacher's own. See also: alpha.",
  resume = "`gradus resume RUN` goes on with a run that was interrupted or has failed, from its newest snapshot, with the bits that it "
    .. "would have had; `gradus run SCRIPT --resume` with all that an earlier call left. The script runs again from its top; "
    .. "trainings that had ended are taken from their snapshot or done again. What the dead attempt wrote after the snapshot "
    .. "becomes a child run (kind attempt). A changed script, library, LibTorch, machine or number of threads is refused by name; "
    .. "--accept NAME takes it, and the store says so.\nA finished run goes on longer with --set epochs=300 --schedules stretch "
    .. "(over the new budget) or keep. See also: snapshot, fork.",
  snapshot = "All that a run needs to go on, in one file (safetensors, so that other tools read the weights) of its folder: weights, "
    .. "optimizer, random streams, samplers, the curriculum's state, run.state and what is registered; of an open loop "
    .. "(run:batches) also what its function can see: locals, upvalues, tables, modules, optimizers. Taken after 5 s and "
    .. "then each minute, where stages and trainings of some seconds end, at Ctrl-C, SIGTERM and SIGUSR1; as often as --snapshots 100 "
    .. "(steps), 30s, 5m or "
    .. "none says, or snapshots = in g.experiment. `gradus show RUN` lists them, `gradus gc --keep last=2,best,every=10000` thins "
    .. "them out. See also: resume, fork.",
  live = "`gradus run --live SCRIPT`: saving the script, or what it requires, swaps the curriculum of the training that goes on at "
    .. "its next step, or the functions that a loop of your own calls; what the run has come to stays. The store has each version, its "
    .. "step and the tag \"edited\". A version that fails is taken back and told in a line, now or later: in a training before its first "
    .. "evaluation with all that it did, from then on from where the run stands, as if it had not been asked. In a loop the old function "
    .. "is called with the same arguments: a step that failed has moved nothing, and neither has a function at its first call; what a "
    .. "function has done before it fails at a later call (steps that it took, tables that it filled) stays. The function that runs, "
    .. "look-aheads and the training of a teacher by run:cached go on as they were. `gradus resume` wants the files as the run had them; "
    .. "what it does after its trainings is the newest version's. See also: resume.",
  fork = "`gradus fork RUN --at STEP [--set key=value] [other.lua]` is a new run that was RUN until the step and is its own from "
    .. "there. Without a change it is the same run, bit for bit. Where no snapshot was taken at the step, the run is done again "
    .. "from the one before it. The event 'fork' names the run, the step and what was set. It is no repetition of a run that had "
    .. "these parameters from its beginning, nor is a run that went on with --set or with another script or data: compare has them apart, "
    .. "--resume and sweep skip nothing for them. See also: resume, snapshot.",
  budget = "How long a run goes on: { epochs = }, { steps = }, { samples = }, { seconds = } or { flops = }, or several of them; the "
    .. "first "
    .. "that is reached ends it. Schedules are shares of it, from 0 to 1 (s.progress).",
  epoch = "As many samples as the full training set has rows, whatever share of them is drawn at the moment; s.stage_passes counts "
    .. "traversals of the share. Epochs are comparable between curricula, passes are not.",
  step = "One update by the optimizer. run:step(fn) makes a step of your own: its function is recorded once and replayed without Lua, so "
    .. "that what it prints, counts or keeps happens once; read its outputs after it.",
  sample = "One row of the data as it is drawn; s.samples counts them. Also the axis of a curriculum that says which rows are drawn: "
    .. "sample = ranked:first(.3), a sampler, or a function of the state.",
  stage = "A part of a curriculum: { \"name\", sample = …, temperature = …, advance = … }. What it leaves out, distill's options say. It "
    .. "lasts until its advance rule says so; the last one until the budget ends.",
  curriculum = "Four questions, each answered by a constant, a schedule or a function of the state: sample (which examples), target "
    .. "(what "
    .. "is imitated), pressure (temperature, alpha, augment, lr), advance (when to go on). A name (\"linear_ramp\"), a list of stages, "
      .. "or a "
    .. "table of the four. See also: stage, sampler, when, schedule.",
  pressure = "How strongly the student is pressed: the knobs temperature, alpha, augment and lr as one function of the state, asked at "
    .. "every step, or each as an option of its own.",
  target = "What is imitated: a teacher's logits, several teachers with weights, a checkpoint of its training, a hidden layer, or "
    .. "\"labels\" for nobody.",
  advance = "When a stage ends: a rule such as when.plateau(\"val/loss\", 3), or a function of the state that returns \"next\", "
    .. "\"stop\", "
    .. "\"back\", \"stay\" or false, and the numbers that it was taken from. Asked after each evaluation.",
  plateau = "A metric that has not improved for so many evaluations: when.plateau(\"val/loss\", 3) goes on to the next stage, "
    .. "patience = 3 "
    .. "ends the run. It counts evaluations, not steps or epochs.",
  patience = "Evaluations without a new best after which the run stops: an option of distill. The count is the run's, not the stage's; "
    .. "see when.patience and plateau.",
  knob = "A number that may change from step to step while the step stays the same: temperature, alpha, augment, lr, loss weights. A "
    .. "number, a schedule, or a function of the state. In a step of your own knobs are 0-dim tensors: k.temperature.",
  schedule = "A knob over the budget: schedule.linear(6, 2), cosine, staircase, pieces, warmup, competence, by_entropy, by_confidence. "
    .. "Spans are "
    .. "shares of the budget, { steps = } or { epochs = }.",
  suite = "A data set beside the validation set that is evaluated along: suites = { easy = …, hard = … } gives the metrics easy/acc and "
    .. "hard/acc, which rules and `compare` can use.",
  metric = "A number by name that is logged: train/loss, val/acc, val/loss, knob/temperature, result/NAME, or your own by run:log { "
    .. "name = "
    .. "value }. Names are letters, digits and _ . / - (up to 200). Which way "
    .. "is better is told by the name (acc, f1, loss, rmse, seconds, …), by metrics of g.experiment or `gradus better NAME lower`; where "
    .. "nothing tells it, sweep asks for --direction and compare leaves it open. See also: metrics.",
  monitor = "The metric that the best checkpoint and patience go by: \"val/loss\" where there is validation data.",
  seed = "What all random streams of a run come from: split, init, order, augment, dropout, probe. Runs of one seed share data, split "
    .. "and "
    .. "initial weights whatever the strategy, so they can be compared in pairs. grid = { seed = { 1, 2, 3 } } or --seed 1.",
  strict = "`gradus run SCRIPT --strict` (resume, fork and sweep have it, too) ends a run, with exit code 65, where another only "
    .. "tells: at each warning (a setting "
    .. "without effect, a schedule that runs backwards, a value that cannot be stored, …), before the first step where it is "
    .. "known there, and at each setting out of the guides' ranges: a temperature below 2 or above 20, an alpha outside of .2 "
    .. "to .95, a learning rate of Adam ten times out of the range for the student's size, batch normalisation over fewer "
    .. "than 16 rows, patience of less than an epoch, columns whose scales are far apart. What a function gives is judged at "
    .. "evaluations.\n`gradus check` says it without a run (\"refused\", \"advice, which --strict refuses\"); a run that is "
    .. "not strict stores it as events of kind warning and advice (amiss), which `gradus show` prints. Other advice, such as "
    .. "a temperature that rises, and the rows of the guide's table refuse nothing. T = 1 with alpha = 0 is the plain KL "
    .. "divergence, and alpha = 0 of a part of the data (schedule.by_part) that of rows without labels: methods, no settings "
    .. "gone astray.",
  run = "One training with its parameters, metrics, events and sources in the store; what a script's run function is given. On the "
    .. "command "
    .. "line RUN is an id (12), the beginning of a uid (4f2a), or @last.",
  uid = "The random name of a run, 32 hex digits: the same in every store it is merged into. Its beginning is enough on the command "
    .. "line.",
  where = "An expression that chooses runs: gradus runs --where \"strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val/acc) > "
    .. "0.9\". "
    .. "Parameters, name, status, seed, tags; last, best, min, max of a metric; == ~= < <= > >= and or not.",
  store = "The SQLite file that runs are in: runs/gradus.db under the working directory, or --store FILE, or GRADUS_STORE.",
  cached = "run:cached(\"teacher\", build, d.train): what build returns is made once and reused by every run with the same source and "
    .. "inputs.",
  grid = "Several runs of one script: grid = { strategy = { \"stages\", \"one_shot\" }, seed = { 1, 2, 3 } } makes six, each as if it "
    .. "ran alone.",
  params = "A script's parameters, typed by their defaults: params = { width = g.int(12), lr = 1e-3, way = g.choice { \"a\", \"b\" } "
    .. "}; --set "
    .. "width=32 replaces one. They are p.width in run(run, p).",
  teacher = "What the student imitates: a trained module. It is put into evaluation mode and gets no gradients. g.fit { … } trains one.",
  student = "The module that is trained. r.student of what distill returns has the best checkpoint's weights. "
    .. "The run keeps them as files: net:load(g.runs()[1]:weights()) in another script; gradus show RUN lists them.",
  flops = "Floating-point operations. flops charges the teacher for each sample seen; flops_spent counts what ran (a cached answer is "
    .. "free). A loop over run:batches is charged for each step what its first round came to, evaluations left out.",
  augment = "Strength of the augmentations, 0 to 1: a knob, 0 when left out. What they are at strength 1 is augmentations = { … }; the "
    .. "strength scales each. See also: augmentations.",
  augmentations = "What is done to each row of a batch at strength 1 (augment = 1), anew at each visit, in this order: augmentations = { "
    .. "shift = 2, erase = .1, noise = .3, mixup = .2 }. What is left out is not done; without augmentations it is { noise = .3, "
    .. "shift = 1 } "
    .. "for images and { noise = .3 } for other inputs.\nshift: up to so many pixels along both axes, whole, less than the sides; "
    .. "zeros move "
    .. "in.\nerase: a random rectangle of up to this share of the image's area, 0 to 1, becomes 0.\nnoise: Gaussian noise of this "
    .. "standard "
    .. "deviation, in the units of x (of pixels from 0 to 1 .3 is much).\nmixup: each row is mixed with another by a share drawn from "
    .. "Beta(mixup, "
    .. "mixup), and so are the labels; above 0, .2 is usual.\nshift and erase need x [N, C, H, W]. Others are a generator's or a loop's: "
    .. "g.data.generator. See also: augment, teacher_view.",
  evaluation = "Loss and accuracy on validation data and suites, evaluate = { epochs = 1 } apart. Rules over metrics are asked after "
    .. "each one.",
  event = "What happened at a step: a stage began, a decision was taken (with the numbers it was taken from), a best was found, a "
    .. "warning. "
    .. "`gradus show RUN` lists them.",
  decision = "An event of kind \"decision\": what a rule of the curriculum, or run:decide in a script, said, with its numbers.",
  batch = "64 rows unless batch says otherwise: b.x, b.y, b.index, b.weight, b.teacher (the teacher's answers). Training batches are "
    .. "always full.",
  lr = "The learning rate: a number, a schedule, or a function of the state; 1e-3. A number alone gets a warm-up of .05 of the budget "
    .. "and a "
    .. "cosine decay (warmup, decay).",
  tensor = "Values with x.shape, x.dtype, x.device. Indices and dimensions count from 0: x[0] is the first row, x[{ {0, 5} }] rows 0 "
    .. "to 4, x[-1] the "
    .. "last. #x and ipairs(x) go over the first dimension (from 0, too); x.shape is a plain list of Lua, from 1; x:size(0) is "
      .. "LibTorch's.\n"
    .. "Comparison is x:gt(0), x:eq(y); in Lua x == y asks whether both are the same tensor, and x == 0 is always false. x:item() is "
      .. "the number "
    .. "of a tensor that holds one. `..` takes such a tensor as its number.",
  ["=="] = "In Lua a == b of two tensors asks whether both are the same tensor, and a == 0 is false of every tensor. Values are "
    .. "compared by "
    .. "x:eq(y), which gives a tensor of true and false; x:equal(y) asks whether all are equal.",
  global = "A variable without local. It may be set at the top level of a script; setting a new one inside of a function, or reading "
    .. "one that "
    .. "was never set, is an error that names what was meant. x = nil at the top announces one that a function will set.",
  indices = "Tensors, nn.ModuleList and nn.Sequential count from 0, as in PyTorch; tables of Lua count from 1. #list is the number of "
    .. "items and "
    .. "for i, item in ipairs(list) gives the i that list[i] takes.",
  device = "Where tensors are: gradus run … --device cuda. Models, teachers, data and optimizers move by themselves in distill, fit and "
    .. "run:register; run.device tells.",
  split = "d:split { train = .7, val = .15, test = .15 }: disjoint parts at random, by the run's seed, the same for all strategies of "
    .. "one seed. A later script that loads the student of an earlier run (g.runs) and tests it splits by its own seed: give it the "
    .. "earlier "
    .. "run's (--seed), or the split a seed of its own, d:split({ … }, { seed = 1 }), in both scripts; run:evaluate tells where some "
    .. "of the "
    .. "rows were trained on.",
  standardize = "d = g.data.csv(\"flowers.csv\", { label = \"species\" }):split { train = .8, val = .1, test = .1 }:standardize(): each "
    .. "column (of images: each channel) minus the training rows' mean, divided by their standard deviation; validation and test rows by "
    .. "the same numbers, so that nothing of them is seen beforehand. A constant column becomes 0, NaN stays, and so do the columns of 0 "
    .. "and 1 that `categories` makes; columns = { \"age\" } changes only these.\nLater rows: g.data.csv(\"new.csv\", { like = "
    .. "d.train }) "
    .. "is standardized as d.train is; in another script new:standardize { like = path } takes the numbers from the student's file, "
    .. "path = g.runs { limit = 1 }[1]:weights(). A factor for all inputs alike is scale = 1 / 255 of npy, idx and safetensors.",
  unlabelled = "Rows without a label have y = -100: the labels' loss leaves them out, the teacher's takes them, so that a student learns "
    .. "from more rows than have labels. g.data.csv(\"some.csv\", { label = \"class\", missing = \"unlabelled\" }) keeps rows whose "
    .. "label "
    .. "cell is empty or NA; g.data.concat(labelled, unlabelled) puts a data set without y behind one of classes; g.data.tensors takes y "
    .. "with -100. A teacher is trained, and accuracy measured, on the rows that have one. Only classes may be missing.\n"
    .. "Where the validation data have no labels at all (g.data.tensors(x)) they are measured beside the teacher: val/loss is how "
    .. "far they are from its answers (KL at T = 1, whatever T a stage has; of numbers the squared error), "
    .. "val/agreement how often both give one class; rules and the best weights go by them.",
  labels = "What y is, decided once where a data set is made (d.labels tells it), said by labels = \"…\" or guessed: classes (int64 "
    .. "[N]; -100 "
    .. "in rows without one), soft (float32 [N, C], rows that sum to 1), tokens (int64 [N, L]), multilabel ([N, C] of 0 and 1), numbers "
    .. "(float32 [N] or [N, D]), none (learnt from and measured by a teacher alone, who gives logits "
    .. "of classes; data.tensors(x, nil, { answers = \"numbers\" }), or \"multilabel\", says other). "
    .. "Whole numbers [N] are taken for classes, [N, L] for tokens (of 0 and 1 without sequences in x: soft"
    .. ", else multilabel), floats [N] for numbers, [N, C] for soft where each row is a distribution, else for numbers.\nIn losses, "
    .. "labels is the term of the labels alone: losses = { labels = 1 }. See also: unlabelled, losses.",
  texts = "Texts as data: each is a row of token numbers. tok = g.tokenizer.train(\"corpus.txt\", { vocabulary = 1000 }) of a file with "
    .. "a text a line; for each of them row = g.zeros({ 64 }, { dtype = \"int64\" }), ids = tok:encode(text), n = math.min(64, #ids), "
    .. "row:narrow(0, 0, n):copy_(ids:narrow(0, 0, n)); then d = g.data.tensors(g.stack(rows, 0), g.tensor(labels, \"int64\")). A model "
    .. "of them begins with nn.Embedding(tok:size(), 32); the mean over its rows, x:mean { dim = 1 }, goes to nn.Linear(32, classes).\n"
    .. "Texts without labels, whose hidden words are learnt: g.data.text. A column of a few words is no text: categories of g.data.csv.",
  rank = "d:rank(score): the rows by difficulty, easiest first. ranked:first(.3) is the easiest share, ranked:reversed() hard first, "
    .. "ranked:shuffled() the random control.",
}
