// Synchronisation: the standard library's primitives and Go's, for goroutines and threads alike.
#pragma once

#include <runnel/sync/barrier.hpp>
#include <runnel/sync/concurrent_map.hpp>
#include <runnel/sync/condition_variable.hpp>
#include <runnel/sync/errgroup.hpp>
#include <runnel/sync/latch.hpp>
#include <runnel/sync/mutex.hpp>
#include <runnel/sync/once.hpp>
#include <runnel/sync/pool.hpp>
#include <runnel/sync/select_cases.hpp>
#include <runnel/sync/semaphore.hpp>
#include <runnel/sync/shared_mutex.hpp>
#include <runnel/sync/singleflight.hpp>
#include <runnel/sync/wait_group.hpp>
#include <runnel/sync/weighted_semaphore.hpp>
