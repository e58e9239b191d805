using Kvcached.Core.Units;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Fences;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Driver = Kvcached.Gpu.Native.DriverAPINativeMethods;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>That work submitted to a GPU is seen to be complete, when it is, and that looking spoils nothing.</summary>
internal static class FenceChecks
{
    private const long WorkBytes = 256 * ByteSize.MiB;

    internal static IReadOnlyList<Check> BeforeContext(CudaRig rig) =>
    [
        new("Fences_make_no_context", _ =>
        {
            using var fences = CudaFences.Open(rig.Gpu);
            Expect.That(!fences.TryRecord(0, out var _), "work was marked without a context");
            Expect.That(fences.TrySynchronize(), "there is nothing to wait for, and yet it was not waited for");
            Expect.That(!rig.HasContext, "the fences made a context");
        }),
    ];

    internal static IReadOnlyList<Check> AfterContext(CudaRig rig) =>
    [
        new("A_fence_is_complete_when_its_stream_gets_there_and_not_before", _ => WithWork(rig, (fences, stream, memory) =>
        {
            Submit(stream, memory, repetitions: 2000);
            Expect.That(fences.TryRecord(stream.Pointer, out var ticket), "the stream could not be marked");
            Expect.That(!OnThread(() => fences.IsComplete(ticket)), "half a terabyte was written in no time");
            Require(Driver.Streams.cuStreamSynchronize(stream));
            Expect.That(OnThread(() => fences.IsComplete(ticket)), "the stream is through, but the fence isn't");
        })),
        new("Synchronizing_waits_for_all_submitted_work", _ => WithWork(rig, (fences, stream, memory) =>
        {
            Submit(stream, memory, repetitions: 1000);
            Expect.That(fences.TryRecord(stream.Pointer, out var ticket), "the stream could not be marked");
            Expect.That(OnThread(fences.TrySynchronize), "it was not waited for");
            Expect.That(OnThread(() => fences.IsComplete(ticket)), "work is still under way");
        })),
        new("The_default_stream_is_waited_for_from_a_thread_without_a_context", _ => WithWork(rig, (fences, _, _) =>
        {
            Expect.That(fences.TryRecord(0, out var ticket), "the default stream could not be marked");
            Expect.That(OnThread(fences.TrySynchronize), "it was not waited for");
            Expect.That(OnThread(() => fences.IsComplete(ticket)), "work is still under way");
        })),
        new("A_graph_capture_is_spoilt_neither_by_asking_nor_by_mapping", _ => WithWork(rig, (fences, stream, memory) =>
        {
            Require(Driver.Streams.cuStreamCreate(out var other, CUStreamFlags.NonBlocking));
            Submit(other, memory, repetitions: 200);
            Expect.That(fences.TryRecord(other.Pointer, out var ticket), "the other stream could not be marked");
            Require(Driver.Streams.cuStreamBeginCapture_v2(stream, CUStreamCaptureMode.Global));
            Submit(stream, memory, repetitions: 1);
            Expect.That(!fences.TryRecord(stream.Pointer, out var _), "a stream under capture was marked");
            OnThread(() => fences.IsComplete(ticket));
            Expect.That(!OnThread(fences.TrySynchronize), "all work was waited for, though some is under capture");
            OnThread(() => MapAndUnmap(rig));
            Require(Driver.Streams.cuStreamEndCapture(stream, out var graph));
            Expect.That(graph != default, "the capture was spoilt");
            Require(Driver.Graphs.cuGraphDestroy(graph));
            Expect.That(OnThread(fences.TrySynchronize), "after the capture it could not be waited for");
            Require(Driver.Streams.cuStreamDestroy_v2(other));
        })),
    ];

    private static void WithWork(CudaRig rig, Action<CudaFences, CUstream, CUdeviceptr> check)
    {
        Require(Driver.ContextManagement.cuDevicePrimaryCtxRetain(out var context, rig.Device));
        Require(Driver.ContextManagement.cuCtxSetCurrent(context));
        Require(Driver.MemoryManagement.cuMemAlloc_v2(out var memory, (nuint)WorkBytes));
        Require(Driver.Streams.cuStreamCreate(out var stream, CUStreamFlags.NonBlocking));
        using (var fences = CudaFences.Open(rig.Gpu))
        {
            check(fences, stream, memory);
        }

        Require(Driver.ContextManagement.cuCtxGetCurrent(out var current));
        Expect.That(current == context, "another context is current than before");
        Require(Driver.Streams.cuStreamDestroy_v2(stream));
        Require(Driver.MemoryManagement.cuMemFree_v2(memory));
        Require(Driver.ContextManagement.cuDevicePrimaryCtxRelease(rig.Device));
    }

    private static void Submit(CUstream stream, CUdeviceptr memory, int repetitions)
    {
        for (var i = 0; i < repetitions; i++)
        {
            Require(Driver.MemsetAsync.cuMemsetD32Async(memory, (uint)i, (nuint)(WorkBytes / sizeof(uint)), stream));
        }
    }

    private static bool MapAndUnmap(CudaRig rig)
    {
        using var driver = rig.Open();
        var bytes = driver.GranularityBytes;
        Expect.That(driver.TryCreate(bytes, out var handle), "there is no memory left");
        var reservation = driver.Reserve(bytes);
        driver.Map(reservation.BaseAddress, bytes, 0, handle);
        driver.SetAccess(reservation.BaseAddress, bytes, MemoryAccess.ReadWrite);
        driver.Unmap(reservation.BaseAddress, bytes);
        driver.Release(handle);
        driver.Free(reservation);
        return true;
    }

    /// <summary>As the library does it: on a thread of its own, which was prepared for it.</summary>
    private static bool OnThread(Func<bool> ask)
    {
        var answer = false;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                var mode = CUStreamCaptureMode.Relaxed;
                Require(Driver.Streams.cuThreadExchangeStreamCaptureMode(ref mode));
                answer = ask();
            }
            catch (Exception e) when (e is CheckFailedException or VirtualMemoryException or InvalidOperationException)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? answer : throw new CheckFailedException(failure.Message);
    }

    private static void Require(CUResult result) => Expect.That(result == CUResult.Success, $"a driver call of the check failed: {Cuda.CudaDriver.Describe(result)}");
}
