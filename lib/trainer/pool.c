/* SPDX-License-Identifier: Apache-2.0 */
/* One mutex and two conditions: pieces of work are some milliseconds long, what waiting costs does not show. */
#include "trainer/pool.h"

#include "base/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct cosmos__pool {
        pthread_mutex_t lock;
        pthread_cond_t begun, done;
        uint64_t turn; /* of work: a thread takes part once in each */
        size_t busy;   /* threads that have not finished their part */
        bool stop;

        void (*work)(void *userdata, size_t item);
        void *userdata;
        size_t n;
        _Atomic size_t next;

        size_t n_threads; /* beside the caller's */
        pthread_t threads[];
};

static void take_items(struct cosmos__pool *pool)
{
        size_t item;

        while ((item = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->n)
                pool->work(pool->userdata, item);
}

static void *serve(void *userdata)
{
        struct cosmos__pool *pool = userdata;
        uint64_t turn = 0;

        pthread_mutex_lock(&pool->lock);
        for (;;) {
                while (pool->turn == turn && !pool->stop)
                        pthread_cond_wait(&pool->begun, &pool->lock);
                if (pool->stop)
                        break;
                turn = pool->turn;
                pthread_mutex_unlock(&pool->lock);
                take_items(pool);
                pthread_mutex_lock(&pool->lock);
                if (--pool->busy == 0)
                        pthread_cond_signal(&pool->done);
        }
        pthread_mutex_unlock(&pool->lock);
        return NULL;
}

int cosmos__pool_new(struct cosmos__pool **ret, size_t threads)
{
        struct cosmos__pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pthread_t));

        if (!pool)
                return -ENOMEM;
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->begun, NULL);
        pthread_cond_init(&pool->done, NULL);
        while (pool->n_threads + 1 < threads && cosmos__thread_start(&pool->threads[pool->n_threads], serve, pool) == 0)
                pool->n_threads++;
        *ret = pool;
        return 0;
}

size_t cosmos__pool_threads(const struct cosmos__pool *pool)
{
        return pool->n_threads + 1;
}

void cosmos__pool_run(struct cosmos__pool *pool, void (*work)(void *userdata, size_t item), void *userdata, size_t n)
{
        pthread_mutex_lock(&pool->lock);
        pool->work = work;
        pool->userdata = userdata;
        pool->n = n;
        atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
        pool->busy = pool->n_threads;
        pool->turn++;
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->lock);
        take_items(pool);
        pthread_mutex_lock(&pool->lock);
        while (pool->busy > 0)
                pthread_cond_wait(&pool->done, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
}

struct cosmos__pool *cosmos__pool_free(struct cosmos__pool *pool)
{
        if (!pool)
                return NULL;
        pthread_mutex_lock(&pool->lock);
        pool->stop = true;
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->lock);
        for (size_t i = 0; i < pool->n_threads; i++)
                pthread_join(pool->threads[i], NULL);
        pthread_cond_destroy(&pool->begun);
        pthread_cond_destroy(&pool->done);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
        return NULL;
}
