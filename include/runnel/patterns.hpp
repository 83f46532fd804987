// Ready-made arrangements of goroutines and channels.
#pragma once

#include <runnel/patterns/circuit_breaker.hpp>
#include <runnel/patterns/parallel.hpp>
#include <runnel/patterns/pipeline.hpp>
#include <runnel/patterns/retry.hpp>
#include <runnel/patterns/worker_pool.hpp>
