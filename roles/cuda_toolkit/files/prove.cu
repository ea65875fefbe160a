// Adds two vectors on the GPU and looks at every sum.
// Ends with 0: right; 1: wrong, or the driver or the device refused; 2: there is no device or no driver.
#include <cstdio>

static const int length = 1 << 16;

__global__ void add(const float *left, const float *right, float *sum)
{
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < length)
        sum[index] = left[index] + right[index];
}

static bool done(cudaError_t status, const char *step)
{
    if (status != cudaSuccess)
        std::printf("%s: %s (%d)\n", step, cudaGetErrorString(status), static_cast<int>(status));
    return status == cudaSuccess;
}

int main()
{
    int driver = 0, devices = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        std::puts("no driver");
        return 2;
    }
    const cudaError_t counted = cudaGetDeviceCount(&devices);
    if (counted == cudaErrorNoDevice || (counted == cudaSuccess && devices == 0)) {
        std::puts("no device");
        return 2;
    }
    float *left, *right, *sum;
    const size_t bytes = length * sizeof(float);
    if (!done(counted, "count devices") || !done(cudaMallocManaged(&left, bytes), "allocate") ||
        !done(cudaMallocManaged(&right, bytes), "allocate") || !done(cudaMallocManaged(&sum, bytes), "allocate"))
        return 1;
    for (int index = 0; index < length; ++index) {
        left[index] = static_cast<float>(index);
        right[index] = static_cast<float>(2 * index);
        sum[index] = -1.0f;
    }
    add<<<(length + 255) / 256, 256>>>(left, right, sum);
    if (!done(cudaGetLastError(), "launch") || !done(cudaDeviceSynchronize(), "run"))
        return 1;
    for (int index = 0; index < length; ++index)
        if (sum[index] != static_cast<float>(3 * index)) {
            std::printf("%d: %g instead of %d\n", index, sum[index], 3 * index);
            return 1;
        }
    std::printf("%d sums are right, on %d device(s)\n", length, devices);
    return 0;
}
