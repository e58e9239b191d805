namespace Kvcached.Client.Tests.Support;

/// <summary>What a forked child would have to close now.</summary>
internal static unsafe class ProcessFacts
{
    public static int CountDescriptorsToClose()
    {
        var count = 0;
        for (var i = 0; i < KvProcess.DescriptorCapacity; i++)
        {
            count += KvProcess.DescriptorsToCloseInChild[i] == 0 ? 0 : 1;
        }

        return count;
    }
}
