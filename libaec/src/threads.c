/* Threads for aec_options.parallel, where the system has POSIX threads; elsewhere jobs run one after another. */

#define _POSIX_C_SOURCE 200809L

#include "internal.h"

#if defined(__unix__) || defined(__APPLE__)

#include <pthread.h>

#define THREADS_MAX 64

typedef struct {
    pthread_mutex_t lock;
    int next, count;
    void (*job)(void *, int);
    void *argument;
} Jobs;

static void *work(void *shared)
{
    Jobs *jobs = shared;
    for (;;) {
        pthread_mutex_lock(&jobs->lock);
        int index = jobs->next < jobs->count ? jobs->next++ : -1;
        pthread_mutex_unlock(&jobs->lock);
        if (index < 0)
            return NULL;
        jobs->job(jobs->argument, index);
    }
}

/* What threads cannot be started is done by those that could. */
void aec_run_threads(void *context, int count, void (*job)(void *, int), void *argument)
{
    Jobs jobs = {PTHREAD_MUTEX_INITIALIZER, 0, count, job, argument};
    pthread_t threads[THREADS_MAX];
    int wanted = context ? *(const int *)context : 1, started = 0;
    wanted = (wanted < count ? wanted : count) - 1; /* besides this one */
    while (started < wanted && started < THREADS_MAX && !pthread_create(threads + started, NULL, work, &jobs))
        started++;
    work(&jobs);
    while (started)
        pthread_join(threads[--started], NULL);
    pthread_mutex_destroy(&jobs.lock);
}

#else

void aec_run_threads(void *context, int count, void (*job)(void *, int), void *argument)
{
    (void)context;
    for (int i = 0; i < count; i++)
        job(argument, i);
}

#endif
