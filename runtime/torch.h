// The part of LibTorch that Gradus uses, and its precompiled header: tensors, autograd, the dispatcher.
// torch::nn and torch::optim are left out on purpose: modules and optimizers are Lua over operators.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/library.h>
